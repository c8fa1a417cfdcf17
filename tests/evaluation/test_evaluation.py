"""The figures of Table 1 and their intervals by hand arithmetic, and what counts as wrong."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from swift_zoomin.evaluation import metrics
from swift_zoomin.evaluation.answers import to_answers
from swift_zoomin.evaluation.columns import NAMES
from swift_zoomin.evaluation.figures import Figure
from swift_zoomin.evaluation.tables import as_list
from swift_zoomin.images import ImageRef
from swift_zoomin.pairing import pair
from swift_zoomin.predictions import read_predictions
from swift_zoomin.records import Record, RecordError, read_records, write_records

BOX, HALF = [0, 0, 10, 10], [5, 0, 15, 10]  # IoU 50 / 150
# name: (label, annotated boxes, reference, initial verdict, final verdict, predicted boxes, final explanation)
GOLDEN = {
    "0": ("real", [BOX], "the sign is sharp", "real", "real", [BOX], "the sign is sharp"),  # IoU 1, BLEU 1
    "1": ("real", [], "", "generated", "real", [], ""),  # changed, right; IoU 1: none annotated, none marked
    "2": ("real", [BOX], "", "real", "generated", [HALF], "x"),  # changed, wrong; IoU 1/3
    "3": ("generated", [BOX], "the cat", "generated", "generated", [], "cat the"),  # IoU 0; BLEU-1 1, BLEU-2 sqrt(1/2)
    "4": ("generated", None, "", "real", "generated", [BOX], "x"),  # changed, right; not annotated
    "5": ("generated", None, "", "generated", None, [], ""),  # changed, wrong: no final verdict
    "6": ("generated", None, "", None, "generated", [], ""),  # changed, right
    "7": ("real", [BOX], "the cat", *["missing"] * 4),  # no prediction: IoU, BLEU, ROUGE 0, all wrong
    "8": ("generated", None, "", None, None, [], ""),  # no verdict twice: not changed, wrong
    "9": ("real", None, "", "real", "real", [BOX], "x"),
}
EXPECTED = {
    "images": 10,
    "accuracy": 6 / 10,  # 0 1 3 4 6 9
    "recall_real": 3 / 5,  # 0 1 9 of 0 1 2 7 9
    "recall_generated": 3 / 5,  # 3 4 6 of 3 4 5 6 8
    "balanced_accuracy": 3 / 5,
    "precision": 3 / 4,  # 3 4 6 of 2 3 4 6
    "f1": 2 * 3 / (4 + 5),
    "i_acc": 5 / 10,  # 0 2 3 5 9
    "c_cases": 5 / 10,  # 1 2 4 5 6
    "c_acc": 3 / 5,  # 1 4 6
    "bleu1": 2 / 3,  # (1 + 1 + 0) / 3
    "bleu2": (1 + math.sqrt(0.5)) / 3,
    "rouge_l": (1 + 1 / 2 + 0) / 3,  # of "cat the", one word of two is in order
    "iou": (1 + 1 + 1 / 3 + 0 + 0) / 5,  # 0 1 2 3 7
    "iou_recall": (1 + 1 + 1 / 3 + 0 + 0) / 5,  # with one box on each side both sides are equal
    "missing": 1,
    "no_verdict": 2,  # 5 8
    "unparsed": 2,
    "failed": 0,
    "extra": 0,
    "doubled": 0,
    "scored": 0,
    "timed": 0,
    "looks": 2,
}
OF_SCORES = ["ap", "auc", "tpr_at_1", "tpr_at_5", "brier", "ece"]
FIGURES = ["accuracy", "i_acc", "c_cases", "c_acc", "bleu1", "bleu2", "rouge_l", "iou"]


def evaluate(records: list[Record], predictions: dict[Path, dict]) -> dict[str, Any]:
    """The values of all figures by name, and under `intervals` their bounds."""
    figures = metrics.evaluate(records, predictions)
    bounds = {name: None if figure.low is None else [figure.low, figure.high] for name, figure in figures.items()}
    return {**{name: figure.value for name, figure in figures.items()}, "intervals": bounds}


def record(name: str, label: str, boxes: list | None = None, explanation: str = "", folder: Path = Path("/")) -> Record:
    image = ImageRef(str(folder / f"{name}.png"), (100, 100))
    return Record(f"{name}.png", image, label, explanation, boxes, [""] * len(boxes or []))


def write(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def test_the_figures_follow_hand_arithmetic(tmp_path: Path) -> None:
    rows = [
        {"image": f"{name}.png", "initial_verdict": first, "verdict": last, "boxes": boxes, "explanation": text}
        for name, (_, _, _, first, last, boxes, text) in GOLDEN.items()
        if first != "missing"
    ]
    records = [record(name, row[0], row[1], row[2], tmp_path) for name, row in GOLDEN.items()]
    metrics = evaluate(records, read_predictions(write(tmp_path / "predictions.jsonl", *rows)))
    assert set(metrics.pop("intervals")) == set(metrics) == set(NAMES)
    assert {name: metrics.pop(name) for name in (*OF_SCORES, "seconds", "seconds_sd")} == dict.fromkeys(
        (*OF_SCORES, "seconds", "seconds_sd")
    )
    # Of all texts together 4 + 0 + 2 + 0 of 4 + 0 + 2 + 0 words are found, and 3 of 4 pairs; said 6 of 8 words.
    shorter = math.exp(1 - 8 / 6)
    assert metrics.pop("corpus_bleu1") == pytest.approx(shorter * 6 / 6)
    assert metrics.pop("corpus_bleu2") == pytest.approx(shorter * math.sqrt(6 / 6 * 3 / 4))
    assert metrics == pytest.approx(EXPECTED)


def test_a_missing_prediction_counts_as_wrong() -> None:
    records = [record("a", "real"), record("b", "generated")]
    metrics = evaluate(records, {Path("/a.png"): {"verdict": "real", "initial_verdict": "real"}})
    assert (metrics["accuracy"], metrics["i_acc"], metrics["missing"], metrics["no_verdict"]) == (0.5, 0.5, 1, 0)
    assert (metrics["c_cases"], metrics["c_acc"]) == (0.0, None)  # no case to be right about


def test_a_prediction_without_a_verdict_counts_as_wrong_for_both_labels() -> None:
    records = [record("a", "real"), record("b", "generated")]
    metrics = evaluate(records, {Path(f"/{name}.png"): {"verdict": None} for name in "ab"})
    assert (metrics["images"], metrics["accuracy"], metrics["missing"], metrics["no_verdict"]) == (2, 0.0, 0, 2)


def test_no_prediction_at_all_is_all_wrong() -> None:
    metrics = evaluate([record("a", "real", [BOX], "text")], {})
    assert (metrics["accuracy"], metrics["missing"]) == (0.0, 1)
    assert [metrics[name] for name in ("i_acc", "c_cases", "bleu2", "rouge_l", "iou")] == [None] * 5


def test_a_detector_that_is_not_ours_has_an_accuracy_and_nothing_else(tmp_path: Path) -> None:
    records = [record(name, "real", [BOX], "a reference", tmp_path) for name in "abcd"]
    verdicts = ["real", "real", "real", "generated"]
    rows = [{"image": f"{name}.png", "verdict": verdict} for name, verdict in zip("abcd", verdicts, strict=True)]
    metrics = evaluate(records, read_predictions(write(tmp_path / "theirs.jsonl", *rows)))
    assert metrics["accuracy"] == metrics["recall_real"] == 0.75
    counts = {"images", "missing", "no_verdict", "unparsed", "failed", "extra", "doubled", "scored", "timed", "looks"}
    assert {name for name, value in metrics.items() if value is not None} == {
        *("accuracy", "recall_real", "intervals"),
        *counts,
    }


def test_no_region_is_right_only_where_something_was_said() -> None:
    """On images annotated with no region: said so, said with the wrong verdict, unreadable image, no prediction."""
    records = [record(name, "real", []) for name in "abcd"]
    said = [{"verdict": "real", "initial_verdict": verdict, "boxes": []} for verdict in ("real", "generated", None)]
    metrics = evaluate(records, {Path(f"/{name}.png"): row for name, row in zip("abc", said, strict=True)})
    assert metrics["iou"] == 2 / 4


def test_the_figures_say_what_made_the_predictions() -> None:
    records = [record(name, "real") for name in "abc"]
    rows = [{"verdict": "real", "made_by": "model b"}, {"verdict": "real", "made_by": "model a"}, {"verdict": "real"}]
    predictions = {Path(f"/{name}.png"): row for name, row in zip("abc", rows, strict=True)}
    assert to_answers("ours", pair(records, predictions), predictions).made_by == "model a; model b"


def test_an_unreadable_image_counts_as_wrong_beside_the_others() -> None:
    unread = {"verdict": None, "replies": [], "seconds": 0.1, "error": "b.png: no such image file"}
    read = {"verdict": "real", "initial_verdict": "real", "boxes": [BOX], "explanation": "the cat"}
    records = [record(name, "real", [BOX], "the cat") for name in "ab"]
    metrics = evaluate(records, {Path("/a.png"): read, Path("/b.png"): unread})
    figures = ("accuracy", "i_acc", "bleu1", "bleu2", "rouge_l", "iou")
    assert [metrics[name] for name in figures] == [0.5] * 6  # one right, one wrong, none left out
    assert (metrics["c_cases"], metrics["no_verdict"], metrics["missing"]) == (0.0, 1, 0)


GOOD = {"image": "a.png", "verdict": "real"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"image": "a.png", "verdict"', "predictions.jsonl:2: not JSON ("),
        ({"image": "a.png", "verdict": "fake"}, "predictions.jsonl:2: verdict 'fake'; expected \"real\""),
        ({"image": "a.png", "verdict": ["real"]}, "predictions.jsonl:2: verdict ['real']"),
        ({**GOOD, "initial_verdict": "fake"}, "predictions.jsonl:2: initial_verdict 'fake'; expected \"real\""),
        (
            '{"image": "a.png", "verdict": "real", "score": NaN}',
            "predictions.jsonl:2: score nan; expected a prob",
        ),
        ({**GOOD, "score": 1.01}, "predictions.jsonl:2: score 1.01; expected a probability from 0 to 1 or null"),
        ({**GOOD, "score": -0.1}, "predictions.jsonl:2: score -0.1; expected a probability"),
        ({**GOOD, "score": True}, "predictions.jsonl:2: score True; expected a probability"),
        ({**GOOD, "score": "0.5"}, "predictions.jsonl:2: score '0.5'; expected a probability"),
        (
            '{"image": "a.png", "verdict": "real", "seconds": Infinity}',
            "predictions.jsonl:2: seconds inf; expected ",
        ),
        ({**GOOD, "seconds": -1}, "predictions.jsonl:2: seconds -1; expected a number from 0 or null"),
        ({"image": "a.png"}, "predictions.jsonl:2: field 'verdict' is missing; expected image and verdict"),
        ({"verdict": "real"}, "predictions.jsonl:2: field 'image' is missing"),
        ({"image": 7, "verdict": "real"}, "predictions.jsonl:2: image 7; expected a path"),
        ({"image": "a\x00.png", "verdict": "real"}, "predictions.jsonl:2: "),
        ({**GOOD, "boxes": 5}, "predictions.jsonl:2: boxes 5; expected a list of [x1, y1, x2, y2]"),
        ({**GOOD, "boxes": [[1, 2, 3]]}, "predictions.jsonl:2: boxes [[1, 2, 3]]; expected a list"),
        ({**GOOD, "explanation": 7}, "predictions.jsonl:2: explanation 7; expected text"),
        ("[1, 2]", "predictions.jsonl:2: no JSON object"),
        ("7", "predictions.jsonl:2: no JSON object"),
    ],
)
def test_a_fault_is_reported_with_file_and_line(tmp_path: Path, line: Any, message: str) -> None:
    path = write(tmp_path / "predictions.jsonl", GOOD, line, GOOD)
    with pytest.raises(RecordError) as caught:
        read_predictions(path)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "predictions.jsonl", {"image": "a.png"}, GOOD, {"image": "a.png", "verdict": "fake"})
    with pytest.raises(RecordError) as caught:
        read_predictions(path)
    assert [line.split(": ")[0] for line in str(caught.value).splitlines()] == [f"{path}:1", f"{path}:3"]


def test_a_file_that_is_absent_or_no_text_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no such predictions file"):
        read_predictions(tmp_path / "absent.jsonl")
    (tmp_path / "binary.jsonl").write_bytes(b'{"image": "a.png", "verdict": "real"}\n\xff\xfe\n')
    with pytest.raises(RecordError, match=r"binary\.jsonl:2: "):
        read_predictions(tmp_path / "binary.jsonl")


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\u0085", "\x1c", "\r\n"])
def test_line_marks_inside_a_reply_do_not_end_the_line(tmp_path: Path, mark: str) -> None:
    write_records(
        tmp_path / "predictions.jsonl", [{**GOOD, "explanation": f"one{mark}two"}, {**GOOD, "image": "b.png"}]
    )
    predictions = read_predictions(tmp_path / "predictions.jsonl")
    assert len(predictions) == 2
    assert predictions[(tmp_path / "a.png").resolve()]["explanation"] == f"one{mark}two"


def test_a_last_line_without_an_end_is_read(tmp_path: Path) -> None:
    (tmp_path / "predictions.jsonl").write_text(json.dumps(GOOD) + "\n" + json.dumps({**GOOD, "image": "b.png"}))
    assert {path.name for path in read_predictions(tmp_path / "predictions.jsonl")} == {"a.png", "b.png"}


def test_paths_are_relative_to_each_file(tmp_path: Path) -> None:
    (tmp_path / "data" / "images").mkdir(parents=True)
    for name in "ab":
        Image.new("RGB", (40, 40)).save(tmp_path / "data" / "images" / f"{name}.png")
    (tmp_path / "linked").symlink_to(tmp_path / "data")
    rows = [{"image": f"images/{name}.png", "label": "real"} for name in "ab"]
    write_records(tmp_path / "data" / "records.jsonl", rows)
    ours = {"image": "../../data/images/a.png", "verdict": "real"}
    absolute = {"image": str(tmp_path / "linked" / "images" / "b.png"), "verdict": "real"}
    path = write(tmp_path / "output" / "run" / "predictions.jsonl", ours, absolute)
    for folder in ("data", "linked"):
        metrics = evaluate(read_records(tmp_path / folder / "records.jsonl"), read_predictions(path))
        assert (metrics["accuracy"], metrics["missing"]) == (1.0, 0)


def verdicts(right: int, wrong: int, **more: Any) -> dict[str, Any]:
    """The metrics of this many right and wrong final verdicts."""
    names = [str(n) for n in range(right + wrong)]
    predictions = {
        Path(f"/{name}.png"): {"verdict": "real" if n < right else "generated", **more} for n, name in enumerate(names)
    }
    return evaluate([record(name, "real") for name in names], predictions)


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        (8, 2, [0.490, 0.943]),  # (8 + 1.921) / 13.841 = 0.7167 -+ 1.960 / 13.841 * sqrt(1.6 + 0.960) = 0.2266
        (0, 10, [0.0, 0.278]),  # 3.841 / 13.841
        (10, 0, [0.722, 1.0]),  # 10 / 13.841
        (97, 3, [0.915, 0.990]),
        (1, 0, [0.207, 1.0]),  # 1 / 4.841
    ],
)
def test_the_interval_of_a_share_is_wilsons(right: int, wrong: int, expected: list[float]) -> None:
    n, p, z2 = right + wrong, right / (right + wrong), 1.9599639845400545**2
    centre, half = (p + z2 / 2 / n) / (1 + z2 / n), math.sqrt(z2 * (p * (1 - p) / n + z2 / 4 / n / n)) / (1 + z2 / n)
    bounds = verdicts(right, wrong)["intervals"]["accuracy"]
    assert bounds == pytest.approx([centre - half, centre + half])
    assert bounds == pytest.approx(expected, abs=5e-4)


def test_each_share_has_the_interval_of_its_own_cases() -> None:
    metrics = verdicts(8, 2, initial_verdict="generated")  # all 10 wrong at first, 8 changed and are right now
    intervals = metrics["intervals"]
    assert [metrics[name] for name in ("accuracy", "i_acc", "c_cases", "c_acc")] == [0.8, 0.0, 0.8, 1.0]
    assert intervals["c_cases"] == intervals["accuracy"] == verdicts(8, 2)["intervals"]["accuracy"]
    assert intervals["i_acc"] == verdicts(0, 10)["intervals"]["accuracy"]
    assert intervals["c_acc"] == verdicts(8, 0)["intervals"]["accuracy"]


def explained(texts: list[str], boxes: list[list]) -> dict[str, Any]:
    """The metrics of these final explanations, the reference being "the cat", and these lists of predicted boxes."""
    records = [record(str(n), "real", [BOX], "the cat") for n in range(len(texts))]
    rows = zip(records, texts, boxes, strict=True)
    said = {Path(r.image.path): {"verdict": "real", "explanation": text, "boxes": box} for r, text, box in rows}
    return evaluate(records, said)


def test_the_interval_of_a_mean_is_that_of_resampled_images() -> None:
    metrics = explained(["the cat"] * 50 + ["dog"] * 50, [[BOX]] * 20 + [[]] * 80)
    # Hits of 100 draws at 1/2: P(< 40) = 0.0176, P(<= 40) = 0.0284, so the 2.5th percentile is 40 and, by symmetry, the
    # 97.5th 60. At 1/5: P(< 12) = 0.0126, P(<= 12) = 0.0253 and P(<= 27) = 0.9658, P(<= 28) = 0.9800: 12 and 28.
    for name in ("bleu1", "bleu2", "rouge_l"):
        assert metrics["intervals"][name] == pytest.approx([0.40, 0.60], abs=0.011)  # 2,000 resamples: off by one hit
    assert metrics["intervals"]["iou"] == pytest.approx([0.12, 0.28], abs=0.011)
    assert metrics["intervals"]["bleu1"] == metrics["intervals"]["rouge_l"]  # the same images in each resample


def test_images_that_all_score_the_same_have_an_interval_without_width() -> None:
    metrics = explained(["cat the"] * 3, [[HALF]] * 3)
    assert metrics["intervals"]["rouge_l"] == [0.5, 0.5]
    assert metrics["intervals"]["iou"] == pytest.approx([1 / 3, 1 / 3])


rows = st.tuples(
    st.sampled_from(["real", "generated"]),
    st.sampled_from(["real", "generated", None]),
    st.sampled_from(["real", "generated", None]),
    st.sampled_from(["the cat", "cat the", "the dog sat", "x", ""]),
    st.sampled_from([[], [BOX], [HALF], [BOX, HALF]]),
)


@settings(deadline=None, max_examples=10)  # the first call imports scipy
@example([("real", None, None, "", [])])  # one record, all wrong
@example([("real", "generated", "real", "the cat", [BOX])])  # one record, all right
@example([("real", "real", "real", "the cat", [BOX]), ("generated", None, None, "x", [HALF])])  # as far apart as can be
@given(st.lists(rows, min_size=1, max_size=12))
def test_an_interval_holds_its_figure_lies_in_0_to_1_and_never_changes(given_rows: list[tuple]) -> None:
    records = [record(str(n), label, [BOX], "the cat") for n, (label, *_) in enumerate(given_rows)]
    names = ("initial_verdict", "verdict", "explanation", "boxes")
    predictions = {Path(f"/{n}.png"): dict(zip(names, row[1:], strict=True)) for n, row in enumerate(given_rows)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("swift_zoomin.evaluation.resampling.RESAMPLES", 100)
        metrics = evaluate(records, predictions)
        assert evaluate(records, predictions) == metrics
    for name, bounds in metrics["intervals"].items():
        if bounds:
            low, high = bounds
            assert 0 <= low <= metrics[name] + 1e-12
            assert metrics[name] - 1e-12 <= high <= 1
    assert json.loads(json.dumps(metrics)) == metrics


def test_a_figure_that_is_not_applicable_has_no_interval() -> None:
    metrics = verdicts(3, 1)
    assert [name for name, bounds in metrics["intervals"].items() if bounds] == ["accuracy", "recall_real"]
    assert [name for name in FIGURES if metrics[name] is not None] == ["accuracy"]


def test_the_list_shows_intervals_and_a_dash_for_what_is_not_applicable() -> None:
    figures = {name: Figure(None) for name in NAMES}
    figures |= {"images": Figure(10), "accuracy": Figure(2 / 3, 0.35, 0.88), "missing": Figure(0)}
    lines = as_list(figures, {"signature": "s", "made_by": None}).splitlines()
    assert lines[:2] == ["images             10", "accuracy           0.667  0.350..0.880"]
    assert "iou                -" in lines
    assert "missing            0" in lines
    assert lines[-2:] == ["signature          s", "made_by            -"]
    assert not [line for line in lines if line.startswith(("auc", "brier", "seconds"))]  # there are none to show


def test_links_are_matched_by_name_and_else_by_their_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "link.png").symlink_to("a.png")
    (tmp_path / "other.png").symlink_to("a.png")
    records = [record(name, label, folder=tmp_path) for name, label in (("a", "real"), ("link", "generated"))]
    # Each by its own name: two links to one file are two images
    rows = [{"image": "a.png", "verdict": "real"}, {"image": "link.png", "verdict": "generated"}]
    metrics = evaluate(records, read_predictions(write(tmp_path / "both.jsonl", *rows)))
    assert (metrics["accuracy"], metrics["missing"]) == (1.0, 0)
    # Only the file behind them is the same: of the file, and of another link to it
    for name in ("a.png", "other.png"):
        path = write(tmp_path / "one.jsonl", {"image": name, "verdict": "generated"})
        metrics = evaluate(records[1:], read_predictions(path))
        assert (metrics["accuracy"], metrics["missing"]) == (1.0, 0)
    assert evaluate(records[:1], read_predictions(path))["missing"] == 0
