"""Pages in a real Chromium, with what they asked the network for and what went wrong in them.

    def test_...(open_page):
        seen = open_page(folder / "review.html", PHONE, dark=True)
        seen.page.keyboard.press("a")
        assert not seen.requests and not seen.errors

A machine without Chromium fails such a test: `shell/test.sh` installs it. Tests that open pages are marked `browser`.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

DESKTOP, PHONE = (1440, 900), (390, 844)  # CSS pixels; the second is an iPhone's


@dataclass
class Seen:
    """An open page, what it asked for, and errors of scripts and the console.

    `requests` are the addresses besides its own file, or its own server's, and data URIs.
    """

    page: Any
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Closed at the end of each module: while it is open, nothing else in the process can run an event loop."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    assert program, "no chromium on this machine: apt-get install chromium"
    with sync_playwright() as playwright:
        # Without a sandbox of its own, which root has none of, and with shared memory that containers keep small.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Seen]]:
    """Opens a file, or an address. Pages of one test share what the browser keeps, as tabs and a later visit do."""
    contexts: dict[tuple[tuple[int, int], bool], Any] = {}

    def open_file(file: Path | str, size: tuple[int, int] = DESKTOP, dark: bool = False) -> Seen:
        if (size, dark) not in contexts:
            contexts[size, dark] = chromium.new_context(
                viewport={"width": size[0], "height": size[1]},
                color_scheme="dark" if dark else "light",
                has_touch=size == PHONE,
                is_mobile=size == PHONE,
                accept_downloads=True,
            )
        seen = Seen(contexts[size, dark].new_page())
        address = file if isinstance(file, str) else file.absolute().as_uri()
        own = f"{address.partition('#')[0].rpartition('/')[0]}/" if isinstance(file, str) else address

        def log(request: Any) -> None:
            is_own = request.url.startswith(own) if isinstance(file, str) else request.url == own
            if not is_own and not request.url.startswith(("data:", "blob:")):
                seen.requests.append(request.url)

        seen.page.on("request", log)
        seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
        seen.page.on("console", lambda said: seen.errors.append(said.text) if said.type == "error" else None)
        seen.page.on("dialog", lambda dialog: (seen.errors.append(f"dialog {dialog.message}"), dialog.dismiss()))
        seen.page.goto(address)
        return seen

    yield open_file
    for context in contexts.values():
        context.close()


def has_sideways_scrolling(page: Any) -> bool:
    """Whether the page is wider than its window."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
