"""The commands of the mission, word for word, as a user runs them."""

import json
import math
from collections import Counter
from pathlib import Path

import pyarrow.parquet
import pytest
from conftest import COMMON, GRPO, ROLLOUT, ROOT, SFT, logged, run_swift
from counted_by_hand import MONITORS, assert_monitors_count_right

pytestmark = pytest.mark.swift

REWARDS = ["--reward_funcs", "zoomin_iou", "zoomin_bleu"]


def _grpo(trained_dir: Path, benchmark_dir: Path, out: Path) -> list:
    data = f"{benchmark_dir}/train/records.jsonl:query2"
    return [
        *(*GRPO, *REWARDS, *COMMON, *ROLLOUT, "--model", trained_dir, "--dataset", data, "--output_dir", out),
        *("--multi_turn_scheduler", "zoomin", "--max_completion_length", 100, "--max_steps", 3),
    ]


def _assert_two_turns_and_finite_rewards(out: Path) -> None:
    steps = logged(out)
    assert len(steps) == 3
    for step in steps:
        assert math.isfinite(step["rewards/zoomin_iou/mean"])
        assert math.isfinite(step["rewards/zoomin_bleu/mean"])
    assert max(step["num_turns"] for step in steps) == 2


def test_sft_from_the_repository_root_learns_the_form_of_a_reply(sft_dir: Path) -> None:
    steps = logged(sft_dir)
    assert steps[-1]["loss"] < 0.3 * steps[0]["loss"]
    assert json.loads((sft_dir / "args.json").read_text())["custom_register_path"] == ["swift_zoomin"]


def test_sft_on_parquet_from_an_empty_directory_in_two_processes(
    model_dir: Path, benchmark_dir: Path, tmp_path: Path
) -> None:
    empty, out, parquet = tmp_path / "empty", tmp_path / "out", tmp_path / "records.parquet"
    empty.mkdir()
    rows = map(json.loads, (benchmark_dir / "train/records.jsonl").read_text().splitlines())
    with_bytes = [{**row, "image": (benchmark_dir / "train" / row["image"]).read_bytes()} for row in rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(with_bytes), parquet)
    run_swift(
        *(*SFT, *COMMON, "--model", model_dir, "--dataset", f"{parquet}:sft", "--output_dir", out, "--max_steps", 2),
        *("--use_cpu", "true", "--ddp_backend", "gloo"),
        cwd=empty,
        NPROC_PER_NODE="2",
        ACCELERATE_USE_CPU="true",
    )
    assert [math.isfinite(step["loss"]) for step in logged(out)] == [True, True]
    assert not list(empty.iterdir())


def test_grpo_from_the_repository_root_with_two_data_workers(
    trained_dir: Path, benchmark_dir: Path, tmp_path: Path
) -> None:
    run_swift(*_grpo(trained_dir, benchmark_dir, tmp_path), "--dataloader_num_workers", 2, cwd=ROOT)
    _assert_two_turns_and_finite_rewards(tmp_path)


def test_grpo_from_an_empty_directory_in_two_processes(trained_dir: Path, benchmark_dir: Path, tmp_path: Path) -> None:
    empty, out = tmp_path / "empty", tmp_path / "out"
    empty.mkdir()
    run_swift(
        *_grpo(trained_dir, benchmark_dir, out),
        *("--use_cpu", "true", "--ddp_backend", "gloo"),
        cwd=empty,
        NPROC_PER_NODE="2",
        ACCELERATE_USE_CPU="true",
    )
    _assert_two_turns_and_finite_rewards(out)


def test_all_rewards_in_one_run_with_weights_and_a_masked_first_reply_and_monitors_that_count_right(
    trained_dir: Path, benchmark_dir: Path, tmp_path: Path
) -> None:
    weights = {"format": 1, "iou": 2, "accuracy": 1, "bleu": 0.5, "accuracy_query1": 0}
    names = [*(f"zoomin_{name}" for name in weights), *(f"zoomin_watch_{name}" for name in MONITORS)]
    data = f"{benchmark_dir}/train/records.jsonl:query2"
    run_swift(
        *(*GRPO, "--reward_funcs", *names, "--reward_weights", *weights.values(), *[0] * len(MONITORS)),
        *(*COMMON, *ROLLOUT, "--model", trained_dir, "--dataset", data, "--output_dir", tmp_path, "--max_steps", 2),
        *("--multi_turn_scheduler", "zoomin_query2", "--external_plugins", "swift_zoomin"),
        *("--max_completion_length", 100, "--log_completions", "true", "--per_device_train_batch_size", 16),
    )
    steps = logged(tmp_path)
    for step in steps:
        assert all(math.isfinite(step[f"rewards/zoomin_{name}/mean"]) for name in weights)
        paid = [weight * step[f"rewards/zoomin_{name}/mean"] for name, weight in weights.items()]
        assert step["reward"] == pytest.approx(sum(paid), abs=1e-6)  # the monitors earn nothing
    assert_monitors_count_right(steps, tmp_path / "completions.jsonl")


def test_bad_rows_are_reported_together_before_training(model_dir: Path, benchmark_dir: Path, tmp_path: Path) -> None:
    good = (benchmark_dir / "train/records.jsonl").read_text().splitlines()[:4]
    rows = [{**json.loads(line), "image": str(benchmark_dir / "train" / json.loads(line)["image"])} for line in good]
    rows[1]["label"] = "fake"
    rows[3]["image"] = "gone.png"
    records = tmp_path / "records.jsonl"
    records.write_text("".join(json.dumps(row) + "\n" for row in rows))
    printed = run_swift(
        *(*SFT, *COMMON, "--model", model_dir, "--dataset", f"{records}:sft", "--output_dir", tmp_path / "out"),
        fails=True,
    )
    assert f'{records}:2: label "fake"; expected "real" or "generated"' in printed
    assert f"{records}:4: image {tmp_path / 'gone.png'}: no such image file" in printed


def test_a_missing_purpose_is_explained(model_dir: Path, benchmark_dir: Path, tmp_path: Path) -> None:
    records = benchmark_dir / "train/records.jsonl"
    printed = run_swift(
        *(*SFT, *COMMON, "--model", model_dir, "--dataset", records, "--output_dir", tmp_path), fails=True
    )
    assert f"expected {records}:PURPOSE, one of sft, sft_joint, query1, query2, explain, ground, verdict" in printed


def sft(model: Path, out: Path, *arguments: object, fails: bool = False) -> str:
    command = [*SFT, *COMMON, "--model", model, "--output_dir", out, "--max_steps", 1]
    return run_swift(*command, *arguments, fails=fails)


def with_fields(records: Path, folder: Path, **fields: object) -> Path:
    """A copy of a records file in a folder of its own, each record with further fields."""
    folder.mkdir()
    rows = [json.loads(line) for line in records.read_text().splitlines()]
    named = [{**row, "image": str(records.parent / row["image"]), **fields} for row in rows]
    (folder / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in named))
    return folder / "records.jsonl"


def test_sft_takes_a_file_of_any_name_and_a_folder_and_keeps_an_images_rows_together(
    model_dir: Path, benchmark_dir: Path, tmp_path: Path
) -> None:
    folder = benchmark_dir / "train"
    rows = with_fields(folder / "records.jsonl", tmp_path / "named")
    rows = rows.rename(rows.with_name("train.jsonl"))
    chat = tmp_path / "train.jsonl"  # another person's file may have the same name elsewhere
    hello = {"messages": [{"role": "user", "content": "Say hi."}, {"role": "assistant", "content": "Hi."}]}
    chat.write_text(f"{json.dumps(hello)}\n" * 10)
    data = [f"{rows}:sft", chat, f"{folder}:explain"]
    sft(model_dir, tmp_path / "out", "--dataset", *data, "--split_dataset_ratio", 0.2)
    held_out = [json.loads(line) for line in (tmp_path / "out/val_dataset.jsonl").read_text().splitlines()]
    assert sum(not row["images"] for row in held_out) == 2
    rows_of_image = Counter(row["images"][0]["path"] for row in held_out if row["images"])
    assert 1 <= len(rows_of_image) < 32
    assert set(rows_of_image.values()) == {3}  # query 1, query 2, and the one turn of the second data set


def test_sft_on_prompts_is_refused(model_dir: Path, benchmark_dir: Path, tmp_path: Path) -> None:
    """It would train nothing, with a loss of 0, to its end."""
    data = f"{benchmark_dir}/train/records.jsonl:query1"
    printed = sft(model_dir, tmp_path, "--dataset", data, fails=True)
    assert printed.splitlines()[-1].endswith(
        f"RecordError: {data} holds no answers to learn; "
        "expected one of sft, sft_joint, explain, ground, verdict (GRPO: swift rlhf)"
    )


def test_grpo_on_replies_is_refused(model_dir: Path, benchmark_dir: Path, tmp_path: Path) -> None:
    data = f"{benchmark_dir}/train/records.jsonl:sft"
    command = [*GRPO, *REWARDS, *COMMON, *ROLLOUT, "--model", model_dir, "--dataset", data, "--output_dir", tmp_path]
    printed = run_swift(*command, fails=True)
    assert printed.splitlines()[-1].endswith(
        f"RecordError: {data} holds replies, and GRPO makes its own; expected query1 or query2"
    )


def test_a_max_length_that_only_query_1_fits_is_refused(model_dir: Path, benchmark_dir: Path, tmp_path: Path) -> None:
    """Each row of query 2 would be replaced by one of query 1, without a word."""
    data = f"{benchmark_dir}/train/records.jsonl:sft"
    printed = sft(model_dir, tmp_path, "--dataset", data, "--max_length", 80, fails=True)
    assert f"RecordError: {data}: 32 of 32 rows of query 2 are longer than --max_length 80" in printed


def test_grpo_mixes_files_with_different_fields_some_named_like_columns_of_ms_swift(
    model_dir: Path, benchmark_dir: Path, tmp_path: Path
) -> None:
    """As they are, `objects` ends the run as "increase max_length", `completions` as a doubled argument."""
    records = benchmark_dir / "train/records.jsonl"
    reserved = {"objects": ["car"], "tools": "x", "completions": "x", "messages": 1, "is_truncated": True}
    one = with_fields(records, tmp_path / "1", score=1, **reserved)
    other = with_fields(records, tmp_path / "2", score=0.5, camera={"maker": "x"})
    run_swift(
        *(*GRPO, "--reward_funcs", "zoomin_format", *COMMON, *ROLLOUT, "--model", model_dir, "--max_steps", 2),
        *("--dataset", f"{one}:query1", f"{other}:query1", "--output_dir", tmp_path / "out"),
        *("--max_completion_length", 10, "--log_completions", "true"),
    )
    assert all(math.isfinite(step["rewards/zoomin_format/mean"]) for step in logged(tmp_path / "out"))
