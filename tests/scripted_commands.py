"""The command `zoomin` where something goes wrong: run in this process, with an engine that follows a script."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import engine_module
from PIL import Image

from swift_zoomin.checkpoints import QWEN_LIMITS
from swift_zoomin.episode import Answer, Conversation
from swift_zoomin.images import ImageError
from swift_zoomin.records import json_line, write_records
from swift_zoomin.replies import Reply, render_reply

REPLY = render_reply(Reply("generated", [[0, 0, 20, 20]], ["sign"], "It melts."))


def make_images(folder: Path) -> Path:
    """Three images and their records."""
    folder.mkdir()
    for name in "abc":
        Image.new("RGB", (40, 40)).save(folder / f"{name}.png")
    write_records(folder / "records.jsonl", [{"image": f"{name}.png", "label": "real"} for name in "abc"])
    return folder


def scripted_engine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """In the place of the real one an engine that says what `answer` makes of a conversation, and counts."""
    script = SimpleNamespace(answer=lambda conversation: Answer(REPLY, [1], False), made=0, closed=0)

    class Scripted:
        limits = QWEN_LIMITS

        def __init__(self, *_: object) -> None:
            script.made += 1

        async def answer(self, conversation: Conversation, *how: object) -> Answer | ImageError:
            reply: Answer | ImageError = script.answer(conversation)
            return reply

        def close(self) -> None:
            script.closed += 1

    monkeypatch.setitem(sys.modules, "swift_zoomin.detection.engine", engine_module(Scripted, tmp_path_factory))
    return script


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()]


def evaluation(data: Path, *images: str) -> tuple[object, ...]:
    """The command that evaluates predictions for these images, all of them "real"."""
    lines = "".join(json_line({"image": image, "verdict": "real"}) for image in images)
    (data / "p.jsonl").write_text(lines)
    return "evaluate", data / "records.jsonl", data / "p.jsonl"
