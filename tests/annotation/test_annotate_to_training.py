"""From a folder of pictures to a training: annotate, check, split, convert, and two steps of `swift sft`."""

import csv
from pathlib import Path

import pytest
from annotate_runs import command, rows, run
from conftest import COMMON, SFT, logged, run_swift
from scripted_server import ScriptedServer
from true_answers import RECORDS


def labels_of(benchmark: Path, table: Path) -> None:
    """A CSV table as a user who owns labelled pictures would have it."""
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "source"])
        for row in rows(benchmark / "records.jsonl"):
            writer.writerow([benchmark / row["image"], row["label"], "benchmark"])


def succeed(*arguments: object) -> str:
    done = run([*map(str, arguments)])
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.swift
def test_pictures_become_a_data_set_that_trains(
    model_dir: Path, benchmark_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true, images = benchmark_dir / "train/records.jsonl", benchmark_dir / "train/images"
    monkeypatch.setenv(RECORDS, str(true))
    labels_of(benchmark_dir / "train", tmp_path / "labels.csv")
    annotated = tmp_path / "annotated/records.jsonl"
    with ScriptedServer("true_answers:answer", pictures=images) as server:
        succeed(*command(server, annotated.parent, images), "--labels", tmp_path / "labels.csv")
    made = {Path(row["image"]).name: row for row in rows(annotated)}
    for row in rows(true):
        ours = made.pop(Path(row["image"]).name)
        assert ours["label"] == row["label"]
        assert ours["boxes"] == row["boxes"]
        assert ours["box_labels"] == row["box_labels"]
        assert ours["explanation"].startswith(row["explanation"])
        assert ours["source"] == "benchmark"
    assert not made
    succeed("check", annotated)
    succeed("split", annotated, "--out", tmp_path / "split", "--test", 0.1, "--val", 0.1)
    parts = {name: len(rows(tmp_path / f"split/{name}.jsonl")) for name in ("train", "val", "test")}
    assert sum(parts.values()) == len(rows(true))
    assert parts["train"] >= 20
    succeed("convert", "square", tmp_path / "split/train.jsonl", tmp_path / "square")
    data = f"{tmp_path}/square/records.jsonl:sft"
    run_swift(
        *(*SFT, *COMMON, "--model", model_dir, "--dataset", data, "--output_dir", tmp_path / "sft"),
        *("--max_steps", 2, "--per_device_train_batch_size", 4),
    )
    assert [line["loss"] > 0 for line in logged(tmp_path / "sft")] == [True, True]
