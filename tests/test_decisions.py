"""What a review decided, read beside a records file and honoured by what makes other files of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from zoomin_command import make_data, zoomin_command

from swift_zoomin.decisions import read_decisions, without_rejected
from swift_zoomin.records import RecordError, read_records


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three records, of images/0.png to images/2.png."""
    return make_data(tmp_path / "data")


@pytest.fixture
def zoomin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    return zoomin_command(monkeypatch, capsys)


def decide(data: Path, decisions: Any, records: Any = "records.jsonl") -> Path:
    file = data / "decisions.json"
    file.write_text(json.dumps({"records": records, "decisions": decisions}))
    return file


def kept(data: Path) -> tuple[list[str], str]:
    path = data / "records.jsonl"
    records, said = without_rejected(read_records(path), path)
    return [record.name for record in records], said


def test_without_a_review_every_record_stays_and_nothing_is_said(data: Path) -> None:
    assert read_decisions(data / "records.jsonl") == {}
    assert kept(data) == (["images/0.png", "images/1.png", "images/2.png"], "")


def test_rejected_records_go_and_undecided_ones_stay(data: Path) -> None:
    decide(data, {"images/0.png": "accept", "images/1.png": "reject"})
    assert kept(data) == (["images/0.png", "images/2.png"], "1 record left out by decisions.json")
    decide(data, {"images/0.png": "reject", "images/1.png": "reject"})
    assert kept(data) == (["images/2.png"], "2 records left out by decisions.json")


def test_a_decision_is_of_all_records_with_the_image(data: Path) -> None:
    with (data / "records.jsonl").open("a") as file:
        file.write('{"image": "images/0.png", "label": "generated", "explanation": "Once more."}\n')
    decide(data, {"images/0.png": "reject"})
    assert kept(data) == (["images/1.png", "images/2.png"], "2 records left out by decisions.json")


def test_decisions_of_another_file_of_the_folder_are_not_applied_which_is_said(data: Path) -> None:
    decide(data, {"images/1.png": "reject", "elsewhere.png": "reject"}, records="train.jsonl")
    said = "decisions.json is of train.jsonl, not applied"
    assert kept(data) == (["images/0.png", "images/1.png", "images/2.png"], said)
    assert read_decisions(data / "records.jsonl") == {}


def test_names_that_are_no_records_are_said_and_stop_nothing(data: Path) -> None:
    """As when an image is annotated again, and left out this time."""
    decide(data, {"images/0.png": "reject", "images/3.png": "accept", 'a"b.png': "reject"})
    said = '1 record left out by decisions.json; 2 images in it are of no record ("images/3.png", "a\\"b.png")'
    assert kept(data) == (["images/1.png", "images/2.png"], said)
    decide(data, {"gone.png": "reject"})
    said = '0 records left out by decisions.json; 1 image in it is of no record ("gone.png")'
    assert kept(data) == (["images/0.png", "images/1.png", "images/2.png"], said)


def test_a_review_that_rejects_everything_leaves_nothing_to_do(data: Path) -> None:
    decide(data, {f"images/{number}.png": "reject" for number in range(3)})
    with pytest.raises(RecordError, match=r"decisions\.json: rejects every record of records\.jsonl; nothing is left"):
        kept(data)


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        ("{", ["not JSON (Expecting property name"]),
        ("[]", ["list; expected a JSON object"]),
        (
            "{}",
            [
                "records null; expected the name of the records file beside it",
                'decisions null; expected an object as {"a.png": "reject"}',
            ],
        ),
        (
            '{"records": "records.jsonl", "decisions": [1]}',
            ['decisions [1]; expected an object as {"a.png": "reject"}'],
        ),
        (
            '{"records": "records.jsonl", "decisions": {"a.png": "rejected", "b.png": null, "c.png": []}}',
            [
                'decisions "a.png" is "rejected"; expected "accept" or "reject"',
                'decisions "b.png" is null; expected "accept" or "reject"',
                'decisions "c.png" is []; expected "accept" or "reject"',
            ],
        ),
    ],
)
def test_each_fault_names_the_file_and_the_field(data: Path, content: str, faults: list[str]) -> None:
    (data / "decisions.json").write_text(content)
    with pytest.raises(RecordError) as raised:
        kept(data)
    lines = str(raised.value).splitlines()
    assert len(lines) == len(faults)
    for line, fault in zip(lines, faults, strict=True):
        assert line.startswith(f"{data}/decisions.json: {fault}")


def test_a_decisions_file_that_cannot_be_read_is_one_line(data: Path) -> None:
    (data / "decisions.json").mkdir()
    with pytest.raises(RecordError, match=r"decisions\.json: cannot be read \(Is a directory\)"):
        kept(data)


def test_convert_leaves_rejected_records_out_and_says_so(zoomin, data: Path) -> None:
    decide(data, {"images/0.png": "accept", "images/1.png": "reject"})
    code, out, _ = zoomin("convert", "square", data / "records.jsonl", data.parent / "square")
    assert code == 0
    assert out.endswith("; 1 record left out by decisions.json\n")
    converted = read_records(data.parent / "square" / "records.jsonl")
    assert [record.explanation for record in converted] == ["The sign melts.", "Sharp."]


def test_convert_stops_at_faulty_decisions_before_it_writes(zoomin, data: Path) -> None:
    decide(data, {"images/0.png": "rejected"})
    code, _, err = zoomin("convert", "square", data / "records.jsonl", data.parent / "square")
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith(f'zoomin: {data}/decisions.json: decisions "images/0.png" is "rejected"')
    assert not (data.parent / "square").exists()
