"""Folders of records with a page of `zoomin review`, and what a person does on it."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

from swift_zoomin.records import write_records


def make_folder(folder: Path, rows: list[dict[str, Any]], size: tuple[int, int] = (400, 300)) -> Path:
    """Records of pictures of their own."""
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(dict.fromkeys(row["image"] for row in rows)):
        Image.new("RGB", size, (60, 20 * (index % 12), 120)).save(folder / name, "PNG")
    write_records(folder / "records.jsonl", rows)
    return folder


def text(page: Any, selector: str) -> str:
    return str(page.locator(selector).inner_text())


def wait_for(page: Any, selector: str, text: str) -> None:
    """Wait until an element shows a text: the page's policy forbids what `wait_for_function` does."""
    page.locator(selector).filter(has_text=text).wait_for()


def press(page: Any, keys: str) -> None:
    """Keys one after the other; `<` and `>` are the arrows."""
    for key in keys:
        page.keyboard.press({"<": "ArrowLeft", ">": "ArrowRight"}.get(key, key))


def downloaded(page: Any, folder: Path) -> dict[str, Any]:
    """What the button downloads, put beside the records."""
    with page.expect_download() as waited:
        page.locator("#save").click()
    assert waited.value.suggested_filename == "decisions.json"
    waited.value.save_as(folder / "decisions.json")
    content: dict[str, Any] = json.loads((folder / "decisions.json").read_text())
    return content


def put_beside(folder: Path, decisions: dict[str, str]) -> None:
    """Decisions beside the records, as from a colleague."""
    (folder / "decisions.json").write_text(json.dumps({"records": "records.jsonl", "decisions": decisions}))
