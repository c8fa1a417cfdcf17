"""What a person reads of a prediction: in 80 columns, in a pipe, in colours or without, and whatever a model says."""

import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_commands import make_images

from swift_zoomin.detection.printed import as_text
from swift_zoomin.episode import Answer, Conversation
from swift_zoomin.images import ImageError
from swift_zoomin.replies import Reply, render_reply

LONG = "The letters on the sign melt into each other, and the shadow under it falls towards the sun. " * 2
PREDICTION = {
    "image": "/photos/sign.jpg",
    "verdict": "generated",
    "initial_verdict": "real",
    "boxes": [[119.6, 88, 260, 190], [0, 0, 9.4, 9]],
    "box_labels": ["garbled letters", ""],
    "explanation": "The letters melt into each other, and the shadow falls towards the sun.",
    "initial_explanation": "A clean photograph.",
    "replies": ["one", "two"],
    "score": 0.934,
    "seconds": 1.0,
    "error": None,
}
AT_52_COLUMNS = """\
/photos/sign.jpg
  verdict     generated (at first sight: real)
  score       0.93
  regions     1. garbled letters, at 120,88 to
              260,190
              2. at 0,0 to 9,9
  reasons     The letters melt into each other, and
              the shadow falls towards the sun.
  at first    A clean photograph.

"""


def test_a_prediction_is_printed_as_wide_as_the_terminal() -> None:
    assert as_text(PREDICTION, 52, has_colours=False) == AT_52_COLUMNS


def test_the_verdict_alone_has_a_colour() -> None:
    red, green, plain = "\033[1;31m", "\033[1;32m", "\033[0m"
    assert f"  {red}generated{plain} (at" in as_text(PREDICTION, 80, has_colours=True)
    assert f"  {green}real{plain} (at" in as_text({**PREDICTION, "verdict": "real"}, 80, has_colours=True)
    assert "\033" not in as_text({**PREDICTION, "verdict": None}, 80, has_colours=True)
    assert re.sub(r"\033\[[\d;]+m", "", as_text(PREDICTION, 52, has_colours=True)) == AT_52_COLUMNS


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"verdict": None, "error": "reply 2 was cut"},
            ["none in the reply (at first sight: real)", "reply 2 was cut"],
        ),
        ({"initial_verdict": None}, ["generated (at first sight: none)"]),
        ({"decision": "cannot tell", "decision_reason": "it flips"}, ["  decision    cannot tell (it flips)"]),
        ({"score": None, "decision": "real"}, ["  decision    real\n"]),
        (
            {"score": None, "sampled_verdicts": ["generated"] * 6 + ["real"] * 2},
            ["  samples     6 of 8 sampled looks say generated\n"],
        ),
        (
            {"score": None, "sampled_verdicts": ["generated", None, "real"]},
            ["  samples     1 of 3 sampled looks say generated, 1 without a verdict\n"],
        ),
        ({"replies": [], "error": "a.jpg: no such image file", "boxes": []}, ["error       a.jpg: no such"]),
    ],
)
def test_what_there_is_to_say_is_said(changes: dict, said: list[str]) -> None:
    text = as_text(PREDICTION | changes, 80, has_colours=False)
    assert all(part in text for part in said), text
    assert ("  verdict " in text) == bool((PREDICTION | changes)["replies"])


def test_a_one_turn_prediction_says_what_it_was_asked_for() -> None:
    fields = ("image", "verdict", "replies", "error")
    text = as_text({name: PREDICTION[name] for name in fields}, 80, has_colours=False)
    assert text == "/photos/sign.jpg\n  verdict     generated\n\n"


def test_control_characters_do_nothing_to_the_terminal() -> None:
    evil = "\033[2J\033]0;title\007 one\r\n\ttwo \u202egnp.exe \ud800 \x9b31m"
    fields = {"image": f"/photos/{evil}.png", "explanation": evil, "box_labels": [evil, evil], "error": evil}
    text = as_text(PREDICTION | fields, 80, has_colours=False)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert r"\x1b[2J\x1b]0;title\x07 one two \u202egnp.exe \ud800 \x9b31m" in text


def test_chinese_is_wrapped_by_the_columns_that_it_takes() -> None:
    lines = as_text({**PREDICTION, "explanation": "招牌上的字母融化在一起。" * 5}, 50, has_colours=False).splitlines()
    text = [line[14:] for line in lines if line[14:] >= "一"]
    assert [len(line) for line in text] == [18, 18, 18, 6]  # of 36 columns


def test_typographic_quotes_do_not_break_a_word() -> None:
    said = "The sign’s “garbled” letters – don’t they melt…? " * 9
    lines = as_text({**PREDICTION, "explanation": said}, 40, has_colours=False).splitlines()
    text = [line[14:] for line in lines if not line.startswith("  regions")]
    assert " ".join(said.split()) in " ".join(text)


def columns(line: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(character) in ("W", "F")) for character in line)


def test_sixty_emoji_are_cut_by_their_columns() -> None:
    lines = as_text({**PREDICTION, "explanation": "😀" * 60}, 40, has_colours=False).splitlines()
    assert [line.count("😀") for line in lines if "😀" in line] == [13, 13, 13, 13, 8]  # of 26 columns


@given(st.text(), st.integers(1, 120))
def test_no_line_but_the_name_is_wider_than_the_terminal_and_no_letter_is_lost(text: str, width: int) -> None:
    fields = {"explanation": f"!{text}", "initial_explanation": None}
    _, *lines = as_text(PREDICTION | fields, width, has_colours=False).splitlines()
    assert all(columns(line) <= max(width, 14 + 20) for line in lines)
    (start,) = (index for index, line in enumerate(lines) if line.startswith("  reasons"))
    shown = "".join(line[14:] for line in lines[start:])
    escaped = [
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text if c.strip()
    ]
    assert shown.replace(" ", "") == "!" + "".join(escaped)


# ---- the command itself


@pytest.fixture
def data(tmp_path: Path, engine) -> Path:
    reply = render_reply(Reply("generated", [[0, 0, 20, 20]], ["sign"], LONG))
    engine.answer = lambda conversation: Answer(reply, [1], False)
    return make_images(tmp_path / "data")


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Standard output is a terminal of 80 columns; the end that shows what is printed."""
    shown, inside = os.openpty()
    for name in ("COLUMNS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with open(inside, "w") as stream, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", stream)
        yield shown
    os.close(shown)


def test_one_photograph_is_printed_in_80_columns_without_a_summary(zoomin, data: Path, monkeypatch) -> None:
    monkeypatch.chdir(data)
    monkeypatch.setenv("COLUMNS", "80")
    status, printed, errors = zoomin("detect", "a.png", "--model", "hub/none")
    assert (status, errors) == (0, "")
    assert printed.startswith("a.png\n  verdict     generated (at first sight: generated)\n  regions     1. sign, at ")
    assert max(map(len, printed.splitlines())) in range(70, 81)
    assert printed.endswith("\n\n")
    assert sorted(path.name for path in data.iterdir()) == ["a.png", "b.png", "c.png", "records.jsonl"]


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("NO_COLOR", "")])
def test_a_terminal_shows_colours_unless_told_not_to(
    zoomin, data: Path, monkeypatch, variable: str, value: str
) -> None:
    """As https://no-color.org has it, an empty NO_COLOR says nothing."""
    with terminal(monkeypatch) as shown:
        monkeypatch.setenv(variable, value)
        zoomin("detect", data / "a.png", "--model", "hub/none")
        os.set_blocking(shown, False)
        lines = os.read(shown, 10_000).decode().splitlines()
    assert ("\033[1;31mgenerated\033[0m (at" in lines[1]) == (value == "")
    assert ("\033" in "".join(lines)) == (value == "")
    assert max(len(re.sub(r"\033\[[\d;]+m", "", line)) for line in lines[1:]) <= 80


def test_many_photographs_end_with_a_summary_and_a_status(zoomin, data: Path, engine, monkeypatch) -> None:
    def answer(conversation: Conversation) -> Answer | ImageError:
        path = conversation.images[0].path
        return (
            ImageError(f"{path}: damaged") if path.endswith("b.png") else Answer("<verdict>real</verdict>", [1], False)
        )

    engine.answer = answer
    monkeypatch.chdir(data)
    status, printed, errors = zoomin("detect", "a.png", "b.png", "c.png", "--model", "hub/none")
    assert status == 3
    assert printed.endswith("\n\n3 images: 2 with a verdict, 1 unreadable\n")
    assert sorted(re.findall(r"^\S+\.png$", printed, re.MULTILINE)) == ["a.png", "b.png", "c.png"]
    assert "b.png\n  error       " in printed
    assert errors == f"zoomin: 1 of 3 images could not be read; the first: {data / 'b.png'}: damaged\n"
