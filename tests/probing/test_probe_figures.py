"""What probes come to, by hand."""

import math
import random

import pytest

from swift_zoomin.probe_figures import changes_of, depends_of
from swift_zoomin.probes import Probe, ProbedRegion

FREE = [500, 0, 600, 100]


def probe(share: float, *hidden: tuple[float, float], random_box: list[float] = FREE) -> Probe:
    """Of each region its share and the random one's; all regions together count as the first."""
    regions = [ProbedRegion([0, 0, 100, 100], own, random_box, other) for own, other in hidden]
    return Probe("a.png", share, regions, hidden[0][0], hidden[0][1])


FAILED, WITHOUT = Probe("b.png", error="gone"), Probe("c.png")


def test_changes_are_means_over_regions_and_their_ratio_is_that_of_the_means() -> None:
    probes = [probe(1.0, (0.0, 1.0), (0.75, 0.875)), probe(0.25, (0.75, 0.5)), FAILED, WITHOUT]
    changes = changes_of(probes)
    assert changes is not None
    # Marked: 1, 0.25 and 0.5; random: 0, 0.125 and 0.25.
    assert (changes.regions, changes.marked, changes.random) == (3, pytest.approx(1.75 / 3), pytest.approx(0.375 / 3))
    assert changes.ratio == pytest.approx(1.75 / 0.375)
    assert changes.overlapping == 0


def test_the_interval_of_the_ratio_holds_it_and_is_narrower_with_more_images() -> None:
    rng = random.Random(0)
    shares = [(rng.random(), rng.random() / 5) for _ in range(400)]
    widths = []
    for number in (40, 400):
        changes = changes_of([probe(0.0, pair) for pair in shares[:number]])
        assert changes is not None
        assert changes.ratio is not None
        assert changes.ratio_interval is not None
        low, high = changes.ratio_interval
        assert low < changes.ratio < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_a_ratio_to_nothing_is_infinite_and_of_nothing_to_nothing_there_is_none() -> None:
    only_marked = changes_of([probe(1.0, (0.0, 1.0))] * 3)
    assert only_marked is not None
    assert only_marked.ratio == math.inf
    assert only_marked.ratio_interval == (math.inf, math.inf)
    nothing = changes_of([probe(1.0, (1.0, 1.0))] * 3)
    assert nothing is not None
    assert (nothing.ratio, nothing.ratio_interval) == (None, None)


def test_one_image_that_a_random_region_changes_leaves_the_upper_end_open() -> None:
    changes = changes_of([probe(1.0, (0.0, 1.0))] * 5 + [probe(1.0, (0.0, 0.5))])
    assert changes is not None
    assert changes.ratio == pytest.approx(12.0)  # 6 to 0.5
    assert changes.ratio_interval is not None
    assert changes.ratio_interval[1] == math.inf
    assert changes.ratio_interval[0] < 12.0


def test_random_regions_without_room_are_counted() -> None:
    changes = changes_of([probe(1.0, (0.0, 1.0), random_box=[50, 50, 150, 150]), probe(1.0, (0.0, 1.0))])
    assert changes is not None
    assert changes.overlapping == 1


def test_faithfulness_is_the_share_of_verdicts_that_fall() -> None:
    probes = [probe(1.0, (0.0, 0.0)), *[probe(1.0, (0.25, 1.0))] * 2, probe(0.0, (0.25, 0.0)), probe(0.5, (0.0, 0.0))]
    depends = depends_of([*probes, FAILED, WITHOUT])
    assert depends is not None
    assert (depends.images, depends.marked, depends.random) == (4, 3, 1)  # one half is no verdict
    assert depends.share == 0.75
    # Wilson's, of 3 in 4: (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n) with z = 1.96
    assert depends.interval == pytest.approx((0.301, 0.954), abs=0.001)


def test_without_a_region_there_is_no_figure() -> None:
    assert changes_of([FAILED, WITHOUT]) is None
    assert depends_of([FAILED, WITHOUT]) is None
