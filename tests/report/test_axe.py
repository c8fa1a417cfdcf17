"""The pages' tests trust axe-core: it must run under their policy, and find what is wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest
from axe import violations
from browser import Seen

pytestmark = pytest.mark.browser

# What the pages of this house say: nothing from outside, scripts and styles only from the file itself.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def write_page(folder: Path, body: str) -> Path:
    file = folder / "page.html"
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}"><title>A page</title>'
    file.write_text(f'<!doctype html><html lang="en"><head>{head}</head><body><main>{body}</main></body></html>')
    return file


def test_axe_finds_nothing_in_a_good_page_and_fetches_nothing(open_page: Callable[..., Seen], tmp_path: Path) -> None:
    seen = open_page(write_page(tmp_path, "<h1>Verdict</h1><p>real</p>"))
    assert violations(seen.page) == []
    assert not seen.requests
    assert not seen.errors


def test_axe_names_each_element_that_breaks_a_rule(open_page: Callable[..., Seen], tmp_path: Path) -> None:
    pale = '<p id="pale" style="color: #bbb; background: #fff">generated</p>'
    picture = '<img id="crop" src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'
    seen = open_page(write_page(tmp_path, f"<h1>Verdict</h1>{pale}{picture}<button id=nameless></button>"))
    found = sorted(line.split(": ")[:2] for line in violations(seen.page))
    assert found == [
        ["button-name (critical)", "#nameless"],
        ["color-contrast (serious)", "#pale"],
        ["image-alt (critical)", "#crop"],
    ]
