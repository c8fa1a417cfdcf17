"""Scores, error rates and probes in words."""

from pathlib import Path

import pytest
from evidence_rows import MADE_BY, calibration, picture, probe, row, scored

from swift_zoomin.predictions import CANNOT_TELL
from swift_zoomin.probes import Probe, ProbedRegion
from swift_zoomin.replies import GENERATED, REAL
from swift_zoomin.report.words import (
    NO,
    UNCLEAR,
    YES,
    depends_of_row,
    likelihood,
    percent,
    probe_in_words,
    regions_in_words,
    score_in_words,
)

LIKELIHOODS = [  # of the IPCC's table, without its strongest words
    (1.0, "very likely"),
    (0.9, "very likely"),
    (0.895, "very likely"),  # shown as 90%
    (0.894, "likely"),
    (0.89, "likely"),
    (0.66, "likely"),
    (0.65, "about as likely as not"),
    (0.5, "about as likely as not"),
    (0.33, "about as likely as not"),
    (0.32, "unlikely"),
    (0.1, "unlikely"),
    (0.09, "very unlikely"),
    (0.0, "very unlikely"),
]
PERCENT = [(0, "0%"), (0.001, "less than 1%"), (0.005, "less than 1%"), (0.0099, "less than 1%"), (0.01, "1%")]
PERCENT += [(0.125, "12%"), (0.895, "90%"), (0.994, "99%")]
PERCENT += [(0.996, "more than 99%"), (1, "100%")]
CAVEAT = (
    "What a calibration came to, probabilities and error rates, holds for images of the same sources as its own; "
    "probabilities, only where real and generated ones are as frequent as there."
)
SAMPLED = f"{MADE_BY}|close-ups blurred|samples 8 at temperature 1.0"
NOT_TESTED = "The regions were not tested: there was no region, or no clear verdict to begin with."


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return picture(tmp_path / "a.png")


@pytest.mark.parametrize(("probability", "word"), LIKELIHOODS)
def test_a_probability_has_a_word(probability: float, word: str) -> None:
    assert likelihood(probability) == word


@pytest.mark.parametrize(("share", "text"), PERCENT)
def test_what_only_rounds_to_none_or_all_does_not_read_as_such(share: float, text: str) -> None:
    assert percent(share) == text


def test_a_calibrated_score_tells_its_error_rates(file: Path) -> None:
    said = score_in_words(scored(file), calibration())
    assert said == [
        "Of 8 sampled looks, 7 said generated, 1 came to no verdict.",
        "It is very likely (93%) that this image is generated, by a score that was calibrated on 250 real and 250 "
        "generated images.",
        "In these words: very likely from 90%, likely from 66%, about as likely as not from 33%, unlikely from 10%, "
        "very unlikely below.",
        CAVEAT,
        '"generated" is decided where at least 93.75% of the sampled looks say generated (a look without a verdict '
        "counts as half). In the calibration, 1 of 250 real images were called generated wrongly (less than 1%; at 95% "
        "confidence, the rate is between 0.01% and 2.21%), and 180 of 250 generated ones rightly (72%).",
        '"real" is decided of no image here: the calibration found no safe limit for it.',
        "About this calibration: few images.",
    ]


def test_without_the_calibrations_file_a_score_says_so(file: Path) -> None:
    said = score_in_words(scored(file), None)
    assert said[1] == (
        "It is very likely (93%) that this image is generated, by a score that was calibrated on other images."
    )
    assert CAVEAT in said
    assert said[-1] == "This page was made without the calibration's file, so its error rates are not shown."


def test_a_verdict_without_a_score_is_no_probability(file: Path) -> None:
    (said,) = score_in_words(row(file), None)
    assert "no probability can be read from it" in said


def test_a_score_of_another_detector_is_not_put_into_words(file: Path) -> None:
    (said,) = score_in_words({"image": "a.png", "verdict": GENERATED, "score": 0.93}, None)
    assert said == "The detector gave a score of 0.93. What it is worth is not known here."


def test_cannot_tell_is_said(file: Path) -> None:
    undecided = {"decision": CANNOT_TELL, "decision_reason": "it could not be looked at again: gone"}
    said = score_in_words(scored(file) | undecided, calibration())
    assert 'The decision is "cannot tell": it could not be looked at again: gone.' in said
    unsampled = " ".join(score_in_words(scored(file) | undecided | {"sampled_verdicts": None}, calibration()))
    assert CANNOT_TELL not in unsampled


@pytest.mark.parametrize("made_by", [MADE_BY, None, f"{MADE_BY}|calibration 000000000000 at 0.01"])
def test_error_rates_are_those_of_the_calibration_that_was_used_or_not_said(file: Path, made_by: str | None) -> None:
    said = " ".join(score_in_words(scored(file) | {"made_by": made_by}, calibration()))
    assert "In the calibration" not in said


def probed(share: float, hidden: float, random: float, made_by: str = SAMPLED) -> Probe:
    """Of 8 samples each: the image as it is, with what was marked hidden, and with other places hidden."""
    return Probe(
        "a.png", share, [ProbedRegion([0, 0, 9, 9], hidden, [9, 9, 18, 18], random)], hidden, random, None, made_by
    )


DEPENDS = "This verdict depends on its regions: with all of them hidden, most sampled looks say another one."
HOLDS = (
    "This verdict does not depend on its regions: with all of them hidden, most sampled looks still say generated. "
    "What is said about them need not be why the model says generated."
)
NOT_CLEAR = "Whether this verdict depends on its regions is not clear with 8 sampled looks."
FAR_FEWER = "With all of them hidden, far fewer looks say generated."
LOST_TOO = "It is lost too where other places of the same sizes are hidden, so that this shows little."
LOST_THOUGH = (
    "It is lost, though, where other places of the same sizes are hidden, so that it rests on more than what was "
    "marked."
)
PERHAPS_TOO = "Whether it is lost too where other places of the same sizes are hidden is not clear."


@pytest.mark.parametrize(
    ("shares", "answer", "found"),
    [
        ((1.0, 0.0, 1.0), YES, [DEPENDS]),
        ((0.875, 0.125, 0.875), YES, [DEPENDS]),
        ((1.0, 0.0, 0.0), YES, [DEPENDS, LOST_TOO]),
        ((1.0, 0.0, 0.4375), YES, [DEPENDS, PERHAPS_TOO]),
        ((1.0, 1.0, 1.0), NO, [HOLDS]),
        ((0.9, 0.9, 0.1), NO, [HOLDS, LOST_THOUGH]),
        ((0.5625, 0.5, 0.5), UNCLEAR, [NOT_CLEAR]),
        ((0.5625, 0.4375, 0.5), UNCLEAR, [NOT_CLEAR]),
        ((1.0, 0.5625, 1.0), UNCLEAR, [NOT_CLEAR, FAR_FEWER]),
        ((1.0, 0.5, 0.0), UNCLEAR, [NOT_CLEAR, FAR_FEWER, LOST_THOUGH]),
    ],
)
def test_a_probe_claims_of_a_verdict_only_what_its_samples_carry(
    shares: tuple[float, float, float], answer: str, found: list[str]
) -> None:
    assert depends_of_row(probed(*shares), GENERATED) == answer
    assert probe_in_words(probed(*shares), GENERATED)[:-1] == found
    mirrored = probed(*(1 - share for share in shares))
    assert depends_of_row(mirrored, REAL) == answer
    assert probe_in_words(mirrored, REAL)[:-1] == [sentence.replace(GENERATED, REAL) for sentence in found]


def test_more_samples_carry_more_and_without_their_number_nothing_is_clear() -> None:
    assert depends_of_row(probed(0.75, 0.25, 0.75), GENERATED) == UNCLEAR
    assert depends_of_row(probed(0.75, 0.25, 0.75, "samples 16 at temperature 1.0"), GENERATED) == YES
    unstated = probe_in_words(probed(1.0, 0.0, 1.0, "another tool"), GENERATED)
    assert unstated[0].endswith("is not clear with sampled looks whose number is not stated.")


@pytest.mark.parametrize(("verdict", "own"), [(REAL, REAL), (None, "missing")])
def test_where_samples_mostly_say_another_word_nothing_is_claimed_of_the_verdict(verdict: str | None, own: str) -> None:
    probe = probed(0.875, 0.0, 0.875)
    assert probe_in_words(probe, verdict)[0] == (
        f"The sampled looks mostly say generated, and the verdict is {own}: hiding regions tells nothing about it."
    )
    assert len(probe_in_words(probe, verdict)) == 2
    assert depends_of_row(probe, verdict) == ""


def test_a_probe_tells_its_shares() -> None:
    assert probe_in_words(probe(), GENERATED)[-1] == (
        "As the image is, 95% of 8 sampled looks say generated (a look without a verdict counts as half); with all "
        "regions hidden, 10%; with as many other places hidden, 90%."
    )


@pytest.mark.parametrize(
    ("untested", "said"),
    [
        (Probe("a.png", error="gone"), "The regions could not be tested: gone"),
        (Probe("a.png", 0.9), NOT_TESTED),
        (Probe("a.png", 0.5, [], 0.1), NOT_TESTED),
    ],
)
def test_a_probe_that_came_to_nothing_says_why(untested: Probe, said: str) -> None:
    assert probe_in_words(untested, REAL) == [said]


def test_a_probe_of_a_real_verdict_counts_looks_that_say_real() -> None:
    assert probe_in_words(probed(0.0, 0.25, 0.0), REAL)[-1] == (
        "As the image is, 100% of 8 sampled looks say real (a look without a verdict counts as half); with all regions "
        "hidden, 75%; with as many other places hidden, 100%."
    )
    assert regions_in_words(probed(0.0, 0.25, 0.0), REAL) == {
        (0, 0, 9, 9): "Hidden, 75% of sampled looks say real (a look without a verdict counts as half); with another "
        "place of the same size hidden, 100%."
    }


def test_a_region_is_compared_with_a_random_one() -> None:
    said = (
        "Hidden, 10% of sampled looks say generated (a look without a verdict counts as half); with another place of "
        "the same size hidden, 90%."
    )
    assert regions_in_words(probe(), GENERATED) == {tuple(probe().regions[0].box): said}
    assert regions_in_words(None, GENERATED) == {}
