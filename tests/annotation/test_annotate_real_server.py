"""The whole command against a real server: `swift deploy` with a tiny Qwen2.5-VL, whose weights are random."""

from pathlib import Path

import pytest
from annotate_runs import rows, run
from answering_server import answering, said
from deployed import deployed
from marked_images import marked

from swift_zoomin.annotation.sent import MAX_PIXELS, size_to_send

SIZES = [(448, 448), (200, 150), (1300, 900)]  # sent as it is, enlarged, shrunk
PATCH_PX = 28
EXPLANATION = "The shadow of the lamp falls on the wall behind it, and the letters of the sign melt into each other."
BOXES = '[{"bbox_2d": [20, 30, 120, 110], "label": "letters of the sign"}]'


@pytest.mark.swift
def test_the_command_runs_through_and_the_server_sees_images_in_the_size_they_were_sent(
    model_dir: Path, tmp_path: Path
) -> None:
    for number, size in enumerate(SIZES):
        (tmp_path / "images").mkdir(exist_ok=True)
        marked(number, size).save(tmp_path / "images" / f"{number}.png")
    # Without the stop words random text goes on as far as it may.
    options = ("--max_batch_size", "4", "--stop_words", "p", "t", "%")
    with deployed(model_dir, tmp_path / "deploy.log", *options, MAX_PIXELS=str(MAX_PIXELS)) as url:
        check_sizes(annotated(tmp_path, "all", explain=url, ground=url, filter=url))
        # Random text is no explanation, so the later steps come to the real server with the earlier ones scripted.
        with answering(said(EXPLANATION)) as explaining, answering(said(BOXES)) as grounding:
            out = annotated(tmp_path, "ground", explain=explaining.url, ground=url, filter=url)
            assert reached(out) == {"ground"}
            out = annotated(tmp_path, "filter", explain=explaining.url, ground=grounding.url, filter=url)
            assert reached(out) == {"filter"}


def annotated(folder: Path, name: str, **urls: str) -> Path:
    """The results of a run in which each step asks at its address; every image is a record or a rejection."""
    out = folder / name
    arguments = ["annotate", str(folder / "images"), "--out", str(out), "--label", "real", "--ground-frame", "absolute"]
    for step, url in urls.items():
        arguments += [f"--{step}-model", "tiny", f"--{step}-url", url]
    done = run([*arguments, "--timeout", "600", "--retries", "0"])
    assert done.returncode == 0, done.stderr
    rejected = rows(out / "rejected.jsonl")
    made = rows(out / "records.jsonl") if (out / "records.jsonl").exists() else []
    assert len(made) + len(rejected) == len(SIZES)
    assert all(row["reason"].startswith(("explain: ", "ground: ", "filter: ")) for row in rejected)  # not the server
    return out


def reached(out: Path) -> set[str]:
    """The steps that were the last ones to be asked about an image."""
    return {row["steps"][-1]["step"] for row in rows(out / "audit.jsonl")}


def check_sizes(out: Path) -> None:
    """A token of the image is a patch of what the model saw; what else was asked is the same for all."""
    others = set()
    for row in rows(out / "audit.jsonl"):
        first = row["steps"][0]
        width, height = size_to_send(SIZES[int(Path(row["image"]).stem)], PATCH_PX, MAX_PIXELS)
        others.add(first["prompt_tokens"] - width * height // PATCH_PX**2)
    assert len(others) == 1
    assert others.pop() > 100
