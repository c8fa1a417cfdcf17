"""Intervals hold the truth as often as they say, by simulation with a fixed seed; groups are drawn whole."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from swift_zoomin.evaluation.figures import _wilson, percentiles
from swift_zoomin.evaluation.metrics import evaluate
from swift_zoomin.evaluation.resampling import RESAMPLES, group_of_each, resamples
from swift_zoomin.images import ImageRef
from swift_zoomin.records import Record

TRIALS, IMAGES = 400, 100
WEIGHTS = np.concatenate(list(resamples(IMAGES)))


def coverage(samples: np.ndarray, truth: float, weights: np.ndarray) -> float:
    """In how many of the samples, (TRIALS, images), the interval of the mean holds the true mean."""
    means = (weights @ samples.T) / weights.sum(axis=1, keepdims=True)
    bounds = [percentiles(column) for column in means.T]
    return float(np.mean([low <= truth <= high for low, high in bounds]))


def test_a_resample_draws_as_many_images_as_there_are() -> None:
    assert WEIGHTS.shape == (RESAMPLES, IMAGES)
    assert (WEIGHTS.sum(axis=1) == IMAGES).all()
    assert WEIGHTS.mean(axis=0) == pytest.approx(np.ones(IMAGES), abs=0.1)
    assert (np.concatenate(list(resamples(IMAGES))) == WEIGHTS).all()


@pytest.mark.parametrize("skew", [1.0, 0.3])
def test_the_interval_of_a_mean_holds_the_truth_in_95_percent(skew: float) -> None:
    samples = np.random.default_rng(5).beta(2 * skew, 3 * skew, size=(TRIALS, IMAGES))  # in 0..1, as BLEU and IoU are
    assert 0.92 <= coverage(samples, 2 / 5, WEIGHTS) <= 0.975  # 400 trials at 0.95: two deviations are 0.022


@pytest.mark.parametrize("share", [0.05, 0.5, 0.92])
def test_the_interval_of_a_share_holds_the_truth_in_95_percent(share: float) -> None:
    """Exactly, over all numbers of hits: Wilson's interval is right on average and seldom far below."""
    held = []
    for hits in range(IMAGES + 1):
        low, high = _wilson(np.repeat([1.0, 0.0], [hits, IMAGES - hits]))
        held.append(low <= share <= high)
    covered = binom.pmf(np.arange(IMAGES + 1), IMAGES, share)[np.array(held)].sum()
    assert 0.92 <= covered <= 0.98


def test_copies_of_one_original_are_drawn_together_and_their_interval_holds() -> None:
    """25 originals with 4 equal copies each: as 100 independent images they claim to know more than they do."""
    originals = np.random.default_rng(6).uniform(size=(TRIALS, 25))
    samples = np.repeat(originals, 4, axis=1)
    grouped = np.concatenate(list(resamples(IMAGES, np.repeat(np.arange(25), 4))))
    assert coverage(samples, 0.5, grouped) >= 0.90  # of 25 groups, percentiles are a little narrow
    assert coverage(samples, 0.5, WEIGHTS) <= 0.75
    assert (grouped.reshape(RESAMPLES, 25, 4) == grouped.reshape(RESAMPLES, 25, 4)[:, :, :1]).all()


def record(**extra: object) -> Record:
    return Record("a.png", ImageRef("/a.png", (9, 9)), "real", extra=extra)


def test_records_without_a_group_are_groups_of_their_own() -> None:
    records = [record(group="a"), record(), record(group="b"), record(group="a"), record(group=None)]
    assert list(group_of_each(records)) == [0, 1, 2, 0, 3]
    assert group_of_each([record(), record(group=None)]) is None


def test_copies_of_a_single_original_have_no_interval() -> None:
    records = [record(group="a") for _ in range(4)]
    predictions = {Path("/a.png"): {"verdict": "real", "score": 0.4}}
    figures = evaluate(records, predictions)
    assert figures["accuracy"] == (1.0, None, None)
    assert figures["ece"] == (pytest.approx(0.4), None, None)


def test_a_figure_that_most_resamples_lack_has_no_interval() -> None:
    spread = np.full(RESAMPLES, np.nan)
    spread[: RESAMPLES // 2] = 0.5
    assert percentiles(spread) == (None, None)
    spread[RESAMPLES // 2] = 0.5
    assert percentiles(spread) == (0.5, 0.5)
