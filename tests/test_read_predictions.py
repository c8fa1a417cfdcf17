"""Predictions as they are read: whose image a row is about, and which of several rows counts."""

from pathlib import Path

import pytest

from swift_zoomin.predictions import read_predictions
from swift_zoomin.records import RecordError, json_line


def test_predictions_are_found_by_the_name_that_was_given(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "link.png").symlink_to("a.png")
    (tmp_path / "linked").symlink_to(tmp_path)
    lines = [{"image": "link.png", "verdict": "real"}, {"image": "./a.png", "verdict": "generated"}]
    lines += [{"image": "linked/a.png", "verdict": "real"}]
    (tmp_path / "p.jsonl").write_text("".join(map(json_line, lines)))
    expected = [tmp_path / "link.png", tmp_path / "a.png", tmp_path / "linked" / "a.png"]
    assert list(read_predictions(tmp_path / "p.jsonl")) == expected
    assert list(read_predictions(tmp_path / "linked" / "p.jsonl")) == expected


def test_two_rows_that_contradict_each_other_are_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    verdicts = ["real", "real", None, "generated"]
    path.write_text("".join(json_line({"image": "a.png", "verdict": verdict}) for verdict in verdicts))
    with pytest.raises(RecordError) as caught:
        read_predictions(path)
    assert str(caught.value) == f"{path}:4: verdict 'generated'; an earlier row of 'a.png' has 'real'"
    path.write_text("".join(json_line({"image": "a.png", "verdict": verdict}) for verdict in [None, "real", None]))
    assert [prediction["verdict"] for prediction in read_predictions(path).values()] == ["real"]


def test_a_path_that_steps_out_of_the_folder_is_plain(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "run")
    for name in ("../a.png", "..//a.png", ".././a.png", "x/../../a.png", "../../" + tmp_path.name + "/a.png"):
        (tmp_path / "run" / "p.jsonl").write_text(json_line({"image": name, "verdict": "real"}))
        assert list(read_predictions(tmp_path / "linked" / "p.jsonl")) == [tmp_path / "a.png"]


def test_a_verdict_beside_an_error_contradicts_no_later_one(tmp_path: Path) -> None:
    """The image was to be tried again, and the run that did so was killed before it left out the earlier row."""
    path = tmp_path / "p.jsonl"
    failed = {"image": "a.png", "verdict": "real", "error": "the server: 503 busy"}
    for later in ({"image": "a.png", "verdict": "generated", "error": None}, {**failed, "verdict": "generated"}):
        path.write_text(json_line(failed) + json_line(later))
        assert read_predictions(path) == {tmp_path / "a.png": later}


@pytest.mark.parametrize("sampled", [5, "real", ["fake"], [["real"]], {"real": 1}])
def test_sampled_verdicts_that_are_none_are_a_fault(sampled: object, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json_line({"image": "a.png", "verdict": "real", "sampled_verdicts": sampled}))
    with pytest.raises(RecordError) as caught:
        read_predictions(path)
    assert str(caught.value).startswith(f"{path}:1: sampled_verdicts {sampled!r}; expected a list of ")
