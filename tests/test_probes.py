"""The format of probes: what is read back, what is a fault, and what a verdict depends on."""

import math
from pathlib import Path
from typing import Any

import pytest

from swift_zoomin.probes import Probe, ProbedRegion, probe_fault, read_probes
from swift_zoomin.records import RecordError, json_line

REGION = ProbedRegion([1.0, 2.0, 30.5, 40.0], 0.25, [50, 60, 80, 98], 0.875)
PROBE = Probe("images/a.png", 0.875, [REGION], 0.25, 0.875, None, "model m")


def test_what_is_written_is_read_back_by_the_path_of_its_image(tmp_path: Path) -> None:
    gone = Probe("b.png", error="b.png: no such image file", made_by="model m")
    (tmp_path / "probes.jsonl").write_text(json_line(PROBE.as_row()) + json_line(gone.as_row()))
    assert read_probes(tmp_path / "probes.jsonl") == {tmp_path / "images/a.png": PROBE, tmp_path / "b.png": gone}


def test_a_row_says_whether_the_verdict_depends_on_what_was_marked() -> None:
    assert [*PROBE.as_row()] == [
        *("image", "share", "regions", "all_share", "all_random_share", "depends", "error", "made_by")
    ]
    assert PROBE.as_row()["depends"] is True


@pytest.mark.parametrize(
    ("share", "hidden", "depends"),
    [
        (1.0, 0.0, True),
        (1.0, 0.5, True),  # no word has the majority any more
        (1.0, 0.5625, False),
        (0.0, 0.5, True),
        (0.0, 0.4375, False),
        (0.5, 0.0, None),  # no verdict to begin with
        (None, None, None),
        (1.0, None, None),
    ],
)
def test_a_verdict_depends_on_what_takes_its_majority(
    share: float | None, hidden: float | None, depends: bool | None
) -> None:
    assert Probe("a.png", share, all_share=hidden).depends is depends
    assert Probe("a.png", share, all_random_share=hidden).depends_on_random is depends


@pytest.mark.parametrize(
    ("made_by", "samples"),
    [
        ("model m|close-ups blurred|samples 16 at temperature 1.0", 16),
        ("samples 4 at temperature 1.0", 4),
        ("model m|samples 8 at temperature 1.0|close-ups blurred", None),  # of the predictions, not of the probe
        ("model m", None),
        ("samples 0 at temperature 1.0", None),
    ],
)
def test_what_shares_are_too_near_follows_from_their_samples(made_by: str, samples: int | None) -> None:
    found = Probe("a.png", made_by=made_by)
    assert found.samples == samples
    assert found.margin == (1 / math.sqrt(samples) if samples else math.inf)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"image": ""}, "image ''; expected a path relative to the file"),
        ({"image": "a\0"}, "image 'a\\x00'; expected a path relative to the file"),
        ({"share": 1.5}, "share 1.5; expected a share from 0 to 1 or null"),
        ({"share": True}, "share True; expected a share from 0 to 1 or null"),
        ({"all_share": float("nan")}, "all_share nan; expected a share from 0 to 1 or null"),
        ({"all_share": None}, "one of all_share and all_random_share is null; expected both, or neither"),
        ({"error": 3}, "error 3; expected text or null"),
        ({"made_by": None}, "made_by None; expected text"),
        ({"regions": None}, "regions None; expected a list"),
        ({"regions": [3]}, "region 3; expected an object with box, share, random_box and random_share"),
        ({"regions": [{"box": [1, 2]}]}, "box [1, 2] of a region; expected [x1, y1, x2, y2]"),
        (
            {"regions": [{"box": [1, 2, 3, 4], "random_box": [1, 2, 3, 4], "share": -1}]},
            "share -1 of a region; expected a share from 0 to 1",
        ),
    ],
)
def test_a_fault_says_what_came_and_what_was_expected(change: dict[str, Any], fault: str) -> None:
    assert probe_fault(PROBE.as_row()) is None
    assert probe_fault(PROBE.as_row() | change) == fault


def test_a_field_that_is_missing_is_named() -> None:
    row = PROBE.as_row()
    del row["all_share"]
    assert probe_fault(row) == "field 'all_share' is missing; expected a row of zoomin probe"


def test_all_faults_of_a_file_are_said_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "probes.jsonl"
    file.write_text(json_line(PROBE.as_row()) + json_line({"image": "a.png"}) + '{"image"\n')
    with pytest.raises(RecordError, match=r"probes\.jsonl:2: field 'share' is missing[^\n]*\n[^\n]*:3: not JSON"):
        read_probes(file)
    with pytest.raises(RecordError, match=r"none\.jsonl: no such file of probes; zoomin probe writes one"):
        read_probes(tmp_path / "none.jsonl")
