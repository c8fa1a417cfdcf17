"""Calibration: what shares of sampled verdicts are worth, and what it says where they are worth nothing."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from swift_zoomin.calibrations import Calibration, as_json, read_calibration
from swift_zoomin.detection.calibration import FALSE_ALARMS, calibrate, find_limit
from swift_zoomin.detection.score import made_samples, share, shares
from swift_zoomin.predictions_parquet import write_rows
from swift_zoomin.records import RecordError, json_rows, write_records
from swift_zoomin.replies import GENERATED, REAL

K = 8
MADE_BY = "model tiny (weights 0)|regions first|samples 8 at temperature 1.0"
Zoomin = Callable[..., tuple[int, str, str]]


def drawn(images: int, real: float, generated: float, seed: int = 0, samples: int = K) -> tuple[list, list]:
    """Shares and labels, half of each: a sample says "generated" with a chance around that of the image's label."""
    rng = np.random.default_rng(seed)
    labels = [REAL, GENERATED] * (images // 2)
    chances = [rng.beta(2 * chance, 2 * (1 - chance)) for chance in (real, generated) * (images // 2)]
    return [rng.binomial(samples, chance) / samples for chance in chances], labels


def fit(values: list[float], labels: list[str], samples: int = K) -> Calibration:
    return calibrate(values, labels, samples, MADE_BY)


@pytest.mark.parametrize(
    ("sampled", "expected"),
    [
        ([GENERATED] * 3 + [REAL], 0.75),
        ([GENERATED, None, REAL, REAL], 0.375),  # (1 + 0.5) / 4: one without a verdict is half a vote
        ([None] * 4, 0.5),
        ([REAL], 0.0),
    ],
)
def test_a_sample_without_a_verdict_is_half_a_vote_and_stays_in_the_denominator(sampled: list, expected: float) -> None:
    assert share(sampled) == expected
    assert expected in shares(len(sampled))


def test_probabilities_are_those_of_new_images_and_bare_shares_are_not() -> None:
    calibration = fit(*drawn(2000, 0.05, 0.5))
    values, labels = drawn(20000, 0.05, 0.5, seed=1)
    is_generated = np.array(labels) == GENERATED
    probabilities = np.array([calibration.probability(value) for value in values])
    off = {"bare": 0.0, "calibrated": 0.0}
    for value in np.unique(values):
        chosen = np.array(values) == value
        off["bare"] += abs((value - is_generated[chosen]).sum()) / len(values)
        off["calibrated"] += abs((probabilities - is_generated)[chosen].sum()) / len(values)
    assert off["calibrated"] < 0.03 < 0.05 < off["bare"]
    fitted_on = np.array(drawn(2000, 0.05, 0.5)[0])
    assert calibration.auc == pytest.approx(roc_auc_score(np.arange(2000) % 2, fitted_on), abs=1e-4)


def test_the_method_with_the_smaller_error_out_of_folds_is_taken() -> None:
    smooth = fit(*drawn(300, 0.3, 0.7))
    assert smooth.method == "platt"
    # No logistic curve: images of a share of 1 are real ones half of the time, those of 0.5 never.
    values, labels = [0.0, 0.5, 1.0, 1.0] * 100, [REAL, GENERATED, GENERATED, REAL] * 100
    stepped = fit(values, labels)
    assert stepped.method == "isotonic"
    for calibration in (smooth, stepped):
        errors = calibration.squared_errors
        assert errors[calibration.method] == min(errors.values())
        assert calibration.probabilities == sorted(calibration.probabilities)
    expected = IsotonicRegression().fit(values, np.array(labels) == GENERATED).predict([0.0, 0.5, 1.0])
    found = [stepped.probability(value) for value in (0.0, 0.5, 1.0)]
    assert found == pytest.approx(np.clip(expected, 1 / 402, 401 / 402), abs=1e-5)


@pytest.mark.parametrize("images", [100, 1000])
def test_classes_that_separate_have_no_probability_of_0_or_1(images: int) -> None:
    calibration = fit([0.0, 1.0] * (images // 2), [REAL, GENERATED] * (images // 2))
    assert calibration.auc == 1.0
    assert calibration.probability(0.0) <= 0.03
    assert calibration.probability(1.0) >= 0.97
    assert calibration.probabilities[0] > 0
    assert calibration.probabilities[-1] < 1
    for_5 = calibration.limit(0.05)
    assert for_5
    assert (for_5.decide(0.0), for_5.decide(1.0)) == ((REAL, None), (GENERATED, None))
    # Half of the samples each: no image of either label looked so.
    assert for_5.decide(0.5)[0] == "cannot tell"


def test_a_model_that_knows_nothing_decides_nothing_and_is_said_to() -> None:
    calibration = fit(*drawn(1000, 0.5, 0.5))
    assert calibration.notes[0].startswith("the samples tell real from generated no better than chance (AUC 0.")
    assert max(calibration.probabilities) - min(calibration.probabilities) < 0.2
    for limit in calibration.limits:
        decisions = [limit.decide(value)[0] for value in shares(K)]
        assert decisions == ["cannot tell"] * len(decisions)


def test_a_model_that_is_wrong_as_a_rule_is_not_turned_round() -> None:
    calibration = fit(*drawn(1000, 0.8, 0.2))
    assert max(calibration.probabilities) == min(calibration.probabilities) == 0.5
    assert calibration.notes


@pytest.mark.parametrize("label", [REAL, GENERATED])
def test_one_label_only_is_refused(label: str) -> None:
    with pytest.raises(RecordError, match=f"all 200 images with sampled verdicts are {label}; expected both"):
        fit([0.5] * 200, [label] * 200)


def test_too_few_images_are_refused_with_their_number() -> None:
    expected = r"20 images with sampled verdicts \(10 real, 10 generated\), too few .* at least 50 of each label"
    with pytest.raises(RecordError, match=expected):
        fit(*drawn(20, 0.2, 0.8))


def test_a_rate_that_so_few_images_cannot_show_has_no_share_and_says_so() -> None:
    calibration = fit([0.0, 1.0] * 60, [REAL, GENERATED] * 60)
    one, five = calibration.limits
    assert (one.generated, one.real) == (None, None)  # 1 / 61 > 0.01
    assert five.generated
    assert five.generated.share == 1.0  # 1 / 61 <= 0.05 from 1/16 on; up to 15/16 "real" would do as well
    assert five.real
    assert five.real.share == 0.0
    assert calibration.notes == ["1% false alarms need 99 images of each label; there are 60 real and 60 generated"]


def test_limits_and_intervals_by_hand() -> None:
    # Of 199 real images 1 has a share of 1, and 8 more of 7/8; (1 + 1) / 200 = 1%, (9 + 1) / 200 = 5%.
    values = [1.0] + [7 / 8] * 8 + [0.0] * 190 + [1.0] * 150 + [7 / 8] * 40 + [0.0] * 9
    calibration = fit(values, [REAL] * 199 + [GENERATED] * 199)
    one, five = calibration.limits
    assert one.generated
    assert (one.generated.share, one.generated.wrong, one.generated.wrong_of) == (15 / 16, 1, 199)
    assert (one.generated.right, one.generated.right_of) == (150, 199)
    assert one.generated.wrong_interval == pytest.approx((0.00013, 0.02768), abs=1e-5)  # R: binom.test(1, 199)
    assert five.generated
    assert (five.generated.share, five.generated.wrong) == (14 / 16, 9)  # 1/16 would do, and 13/16 for "real"
    assert one.real is None  # 9 of 199 generated images have a share of 0: (9 + 1) / 200 = 5%
    assert five.real
    assert (five.real.share, five.real.wrong, five.real.right) == (0.0, 9, 190)
    assert one.decide(7 / 8) == (
        "cannot tell",
        "share 0.875 of sampled verdicts; generated is said from 0.938 on, real at no share",
    )
    assert five.decide(0.5)[0] == "cannot tell"  # no image of either label looked so


@settings(deadline=None)  # the first example loads SciPy
@given(st.data(), st.integers(1, 4), st.sampled_from(FALSE_ALARMS))
def test_the_counts_of_a_limit_are_those_of_its_decisions(data: st.DataObject, samples: int, rate: float) -> None:
    """Over the images that it was found on, whatever their shares: none, few or many of each."""
    every = np.array(shares(samples))
    numbers = st.lists(st.sampled_from((0, 1, 200)), min_size=len(every), max_size=len(every)).filter(any)
    images = {label: np.repeat(every, data.draw(numbers)) for label in (REAL, GENERATED)}
    limit = find_limit(rate, images[REAL], images[GENERATED], every)
    decided = {label: Counter(limit.decide(value)[0] for value in values) for label, values in images.items()}
    for bound, said, other in ((limit.generated, GENERATED, REAL), (limit.real, REAL, GENERATED)):
        counts = (bound.wrong, bound.right) if bound else (0, 0)
        assert counts == (decided[other][said], decided[said][said])
        assert counts[0] <= rate * len(images[other])


def test_a_good_models_limits_do_not_overlap_and_count_what_they_decide() -> None:
    real, generated = [0.0] * 96 + [0.5] * 4, [1.0] * 96 + [0.5] * 4
    limit = find_limit(0.05, np.array(real), np.array(generated), np.array(shares(K)))
    assert limit.generated
    assert limit.real
    assert (limit.real.share, limit.generated.share) == (0.0, 1.0)
    assert (limit.generated.wrong, limit.generated.right) == (limit.real.wrong, limit.real.right) == (0, 96)
    assert limit.decide(0.5)[0] == "cannot tell"


def test_limits_that_overlap_are_no_calibration(tmp_path: Path) -> None:
    value = json.loads(as_json(fit([0.0, 1.0] * 60, [REAL, GENERATED] * 60)))
    value["limits"][1]["real"]["share"] = 1.0
    (tmp_path / "c.json").write_text(json.dumps(value))
    with pytest.raises(RecordError, match=r"c\.json: no calibration \(ValueError: limits 1\.0 and 1\.0 overlap\)"):
        read_calibration(tmp_path / "c.json")


def test_new_images_raise_no_more_false_alarms_than_promised() -> None:
    """Over many calibrations, whose mean is what a conformal limit promises, whatever the samples are worth."""
    rng = np.random.default_rng(0)
    every = np.array(shares(32))
    alarms: dict[float, list[float]] = {0.01: [], 0.05: []}
    new = rng.binomial(32, rng.beta(1, 4, 10000)) / 32
    for _ in range(40):
        real, generated = (rng.binomial(32, rng.beta(*shape, 300)) / 32 for shape in ((1, 4), (4, 1)))
        for rate, found in alarms.items():
            limit = find_limit(rate, real, generated, every)
            found.append(float((new >= limit.generated.share).mean()) if limit.generated else 0.0)
    for rate, found in alarms.items():
        assert 0.6 * rate < np.mean(found) <= rate
        assert max(found) > rate  # of a single calibration; the interval says how far it may be off


def test_a_calibration_reads_back_as_it_was_written(tmp_path: Path) -> None:
    calibration = fit(*drawn(200, 0.2, 0.8))
    (tmp_path / "c.json").write_text(as_json(calibration))
    read = read_calibration(tmp_path / "c.json")
    assert as_json(read) == as_json(calibration)
    assert [limit.decide(0.5) for limit in read.limits] == [limit.decide(0.5) for limit in calibration.limits]


@pytest.mark.parametrize(
    "content",
    ["", "no JSON", "[]", '{"made_by": "x"}', '{"limits": []}', '{"limits": 3}', '{"limits": [{"false_alarms": 1}]}'],
)
def test_what_is_no_calibration_is_refused_by_name(content: str, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(RecordError, match=r"c\.json: no calibration \(.*\); expected a file that zoomin calibrate"):
        read_calibration(tmp_path / "c.json")


def data(folder: Path, images: int = 200, **more: Any) -> tuple[Path, Path]:
    """Records and predictions with sampled verdicts, most of them right; one image cannot be read."""
    Image.new("RGB", (30, 30)).save(folder / "0.png")
    rng = np.random.default_rng(0)
    records, rows = [], []
    for number in range(images):
        name, label = f"{number}.png", (REAL, GENERATED)[number % 2]
        (folder / name).write_bytes((folder / "0.png").read_bytes())
        records.append({"image": name, "label": label})
        right = rng.beta(4, 1)
        others = {REAL: GENERATED, GENERATED: REAL}
        sampled = [label if rng.random() < right else others[label] for _ in range(K)]
        rows.append({"image": name, "verdict": sampled[0], "sampled_verdicts": sampled, "made_by": MADE_BY, **more})
    rows[-1] = {"image": rows[-1]["image"], "verdict": None, "sampled_verdicts": None, "made_by": MADE_BY}
    write_records(folder / "r.jsonl", records)
    write_records(folder / "p.jsonl", rows)
    return folder / "r.jsonl", folder / "p.jsonl"


def test_the_command_writes_a_calibration_and_says_what_it_is_worth(zoomin: Zoomin, tmp_path: Path) -> None:
    status, out, err = zoomin("calibrate", *data(tmp_path), "--out", tmp_path / "c.json")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("199 images with 8 samples: 100 real, 99 generated; AUC 0.")
    assert lines[1] == "left out: 1 image without sampled verdicts"
    assert "the smaller mean squared error out of folds (platt 0." in lines[2]
    assert lines[3] == "at 1% false alarms:"
    calibration = read_calibration(tmp_path / "c.json")
    assert (calibration.made_by, calibration.samples) == (MADE_BY, K)
    assert zoomin("calibrate", *data(tmp_path), "--out", tmp_path / "c.json")[0] == 0  # an older one may go


def test_predictions_in_parquet_are_calibrated_alike(zoomin: Zoomin, tmp_path: Path) -> None:
    records, predictions = data(tmp_path)
    rows = [{"replies": [], **row} for _, row in json_rows(predictions)]
    write_rows(tmp_path / "p.parquet", rows)
    for name in ("p.jsonl", "p.parquet"):
        assert zoomin("calibrate", records, tmp_path / name, "--out", tmp_path / f"{name}.json")[0] == 0
    assert (tmp_path / "p.parquet.json").read_bytes() == (tmp_path / "p.jsonl.json").read_bytes()
    err = zoomin("calibrate", records, tmp_path / "gone.parquet", "--out", tmp_path / "c.json")[2]
    assert err == f"zoomin: {tmp_path / 'gone.parquet'}: no such predictions file\n"


def test_predictions_that_were_calibrated_already_are_calibrated_by_their_samples(
    zoomin: Zoomin, tmp_path: Path
) -> None:
    zoomin("calibrate", *data(tmp_path), "--out", tmp_path / "a.json")
    more = {"made_by": f"{MADE_BY}|calibration 0a1b at 0.01|stable jpeg90", "score": 0.123}
    zoomin("calibrate", *data(tmp_path, **more), "--out", tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert made_samples(more["made_by"]) == MADE_BY


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"sampled_verdicts": None}, "no sampled verdicts of the images"),
        ({"made_by": None}, "a row without made_by"),
    ],
)
def test_predictions_without_what_it_needs_are_refused(
    more: dict[str, Any], expected: str, zoomin: Zoomin, tmp_path: Path
) -> None:
    status, out, err = zoomin("calibrate", *data(tmp_path, **more), "--out", tmp_path / "c.json")
    assert (status, out) == (1, "")
    assert err.startswith(f"zoomin: {tmp_path}/p.jsonl: {expected}")
    assert not (tmp_path / "c.json").exists()


def test_two_models_in_one_file_are_refused(zoomin: Zoomin, tmp_path: Path) -> None:
    records, predictions = data(tmp_path)
    other = predictions.read_text().replace("weights 0", "weights 1", 1)
    predictions.write_text(other)
    _, _, err = zoomin("calibrate", records, predictions, "--out", tmp_path / "c.json")
    assert "made by model tiny (weights 0)" in err
    assert "and by model tiny (weights 1)" in err


def test_a_file_that_is_no_calibration_is_not_replaced(zoomin: Zoomin, tmp_path: Path) -> None:
    records, predictions = data(tmp_path)
    before = records.read_bytes()
    status, _, err = zoomin("calibrate", records, predictions, "--out", records)
    assert status == 1
    assert err == f"zoomin: {records}: exists, and holds no calibration; choose another --out\n"
    assert records.read_bytes() == before


def test_twenty_images_are_too_few_and_the_command_says_so(zoomin: Zoomin, tmp_path: Path) -> None:
    status, _, err = zoomin("calibrate", *data(tmp_path, images=20), "--out", tmp_path / "c.json")
    assert status == 1
    assert "19 images with sampled verdicts (10 real, 9 generated), too few to calibrate on" in err


def test_the_json_says_how_it_was_made(zoomin: Zoomin, tmp_path: Path) -> None:
    zoomin("calibrate", *data(tmp_path), "--out", tmp_path / "c.json")
    value = json.loads((tmp_path / "c.json").read_text())
    assert {"scikit-learn", "folds", "zoomin"} <= set(value["signature"].replace(":", " ").replace("|", " ").split())
    assert value["images"] == {REAL: 100, GENERATED: 99}
