"""`zoomin annotate` in the tests' own process, against a server that answers in turn."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from answering_server import AnsweringServer, said
from PIL import Image
from zoomin_command import zoomin_command

EXPLANATION = "The red panel has no shadow although light falls from the left. Its edges are perfectly sharp."
BOX = [140, 112, 280, 224]
ANSWERS = (
    said(EXPLANATION),
    said(json.dumps([{"bbox_2d": BOX, "label": "panel"}])),
    said(json.dumps([{"number": 1, "decision": "keep", "reason": "evidence"}])),
)
RESULTS = ("records.jsonl", "rejected.jsonl", "audit.jsonl", "summary.json", "sheet.png")
Command = Callable[..., tuple[int, str, str]]


def annotating(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command `zoomin`, with one key and no proxy in its environment."""
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    return zoomin_command(monkeypatch, capsys)


def pictures(folder: Path) -> Path:
    """Three pictures, of which the second is none."""
    folder.mkdir()
    for number in (0, 2):
        Image.new("RGB", (560, 448), (number, 100, 100)).save(folder / f"{number}.png")
    (folder / "1.png").write_text("no picture")
    return folder


def arguments(server: AnsweringServer | str, images: Path, *more: object) -> list[object]:
    url = server if isinstance(server, str) else server.url
    models = ("--explain-model", "gpt-4o", "--explain-url", url, "--ground-model", "Qwen2.5-VL-7B-Instruct")
    out = ("--out", images.parent / "out", "--label", "real", "--concurrency", 1, "--retries", 0)
    return ["annotate", images, *models, *out, *more]


def rows(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def contents(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in RESULTS if (out / name).exists()}
