"""A score, its calibration's error rates and a probe, in sentences that a reader without statistics can repeat.

    It is very likely (93%) that this image is generated, by a score that was calibrated on 250 real and 250 generated
    images.

The words are five of those that the IPCC gives its authors for probabilities (Mastrandrea et al. 2010, "Guidance Note
on Consistent Treatment of Uncertainties", Table 1). Its stronger ones, as "virtually certain", are left out on purpose:
a calibration of some hundred images does not carry them.
"""

from collections.abc import Iterator

from swift_zoomin.arguments import counted
from swift_zoomin.calibrations import CALIBRATED, Bound, Calibration, Limit
from swift_zoomin.predictions import CANNOT_TELL, Prediction
from swift_zoomin.probes import Probe, ProbedRegion
from swift_zoomin.replies import GENERATED, REAL

# From which probability on each word holds.
_LIKELIHOODS = ((0.9, "very likely"), (0.66, "likely"), (0.33, "about as likely as not"), (0.1, "unlikely"))
_LEAST_LIKELY = "very unlikely"
_CAVEAT = (
    "What a calibration came to, probabilities and error rates, holds for images of the same sources as its own; "
    f"probabilities, only where {REAL} and {GENERATED} ones are as frequent as there."
)
_HALVES = "a look without a verdict counts as half"
YES, NO, UNCLEAR = "yes", "no", "unclear"  # whether a verdict depends on its regions


def likelihood(probability: float) -> str:
    """The word for a probability, as `percent` shows it: `very likely`."""
    shown = round(probability * 100) / 100
    return next((word for least, word in _LIKELIHOODS if shown >= least), _LEAST_LIKELY)


def percent(share: float) -> str:
    """A share of 0..1 in whole percent; one that only rounds to none or all does not read as such."""
    if 0 < share < 0.01:
        return "less than 1%"
    if 0.995 <= share < 1:
        return "more than 99%"
    return f"{round(share * 100)}%"


def _unrounded(share: float) -> str:
    """A limit as it is compared with: 93.75%."""
    return f"{share * 100:.6g}%"


def score_in_words(prediction: Prediction, calibration: Calibration | None) -> list[str]:
    """What the row says beyond a verdict, and what its calibration came to on held-out images."""
    said = list(_samples(prediction))
    score = prediction.get("score")
    if score is None:
        said.append(
            "There is no calibrated score. A verdict alone says nothing about how often such verdicts are wrong, and "
            "no probability can be read from it."
        )
    elif not _is_calibrated(prediction):
        said.append(f"The detector gave a score of {score:.2f}. What it is worth is not known here.")
    else:
        said += [_calibrated(score, calibration), _scale()]
    if _is_calibrated(prediction):
        said.append(_CAVEAT)
    reason = prediction.get("decision_reason")
    if prediction.get("decision") == CANNOT_TELL and prediction.get("sampled_verdicts") and reason:
        said.append(f'The decision is "{CANNOT_TELL}": {reason}.')
    if calibration:
        said += error_rates(prediction, calibration)
    elif score is not None and _is_calibrated(prediction):
        said.append("This page was made without the calibration's file, so its error rates are not shown.")
    return said


def _samples(prediction: Prediction) -> Iterator[str]:
    verdicts = prediction.get("sampled_verdicts")
    if not verdicts:
        return
    looks = counted(len(verdicts), "sampled look")
    without = verdicts.count(None)
    further = f", {without} came to no verdict" if without else ""
    yield f"Of {looks}, {verdicts.count(GENERATED)} said {GENERATED}{further}."


def _is_calibrated(prediction: Prediction) -> bool:
    return f"|{CALIBRATED}" in str(prediction.get("made_by"))


def _calibrated(score: float, calibration: Calibration | None) -> str:
    said = f"It is {likelihood(score)} ({percent(score)}) that this image is {GENERATED}"
    if calibration is None:
        return f"{said}, by a score that was calibrated on other images."
    images = calibration.images
    on = f"{images[REAL]:,} {REAL} and {images[GENERATED]:,} {GENERATED} images"
    return f"{said}, by a score that was calibrated on {on}."


def _scale() -> str:
    """What the words stand for."""
    steps = ", ".join(f"{word} from {least:.0%}" for least, word in _LIKELIHOODS)
    return f"In these words: {steps}, {_LEAST_LIKELY} below."


def limit_used(prediction: Prediction, calibration: Calibration) -> Limit | None:
    """The limit of a calibration that decided on an image; None where it was decided by none of them."""
    parts = str(prediction.get("made_by")).split("|")
    return next((limit for limit in calibration.limits if calibration.as_part(limit) in parts), None)


def error_rates(prediction: Prediction, calibration: Calibration) -> Iterator[str]:
    """How often each label was said of the calibration's images, rightly and wrongly."""
    limit = limit_used(prediction, calibration)
    if limit is None:
        return
    yield from _rates(GENERATED, REAL, "at least", limit.generated)
    yield from _rates(REAL, GENERATED, "at most", limit.real)
    yield from (f"About this calibration: {note}." for note in calibration.notes)


def _rates(label: str, other: str, bound_word: str, bound: Bound | None) -> Iterator[str]:
    if bound is None:
        yield f'"{label}" is decided of no image here: the calibration found no safe limit for it.'
        return
    low, high = bound.wrong_interval
    share = percent(bound.wrong / bound.wrong_of)
    between = f"between {low * 100:.3g}% and {high * 100:.3g}%"
    wrong = f"{bound.wrong} of {bound.wrong_of:,} {other} images were called {label} wrongly ({share}"
    right = f"{bound.right} of {bound.right_of:,} {label} ones rightly ({percent(bound.right / bound.right_of)})"
    yield (
        f'"{label}" is decided where {bound_word} {_unrounded(bound.share)} of the sampled looks say {GENERATED} '
        f"({_HALVES}). In the calibration, {wrong}; at 95% confidence, the rate is {between}), and {right}."
    )


def probe_in_words(probe: Probe, verdict: str | None) -> list[str]:
    """What was found when the regions were hidden."""
    if probe.error:
        return [f"The regions could not be tested: {probe.error}"]
    if probe.share is None or probe.all_share is None or probe.depends is None:
        return ["The regions were not tested: there was no region, or no clear verdict to begin with."]
    word = verdict or GENERATED
    random = ""
    if probe.all_random_share is not None:
        random = f"; with as many other places hidden, {_saying(probe.all_random_share, word)}"
    compared = f"{_saying(probe.share, word)} of {_looks(probe)} say {word} ({_HALVES})"
    hidden = f"with all regions hidden, {_saying(probe.all_share, word)}"
    return [*_rests(probe, verdict), f"As the image is, {compared}; {hidden}{random}."]


def _rests(probe: Probe, verdict: str | None) -> Iterator[str]:
    """Whether a verdict rests on its regions. It is the row's, and not always the one that samples mostly say."""
    depends, depends_on_random = depends_of_row(probe, verdict), _is_lost(probe, probe.all_random_share)
    if not depends:
        mostly, own = _mostly_said(probe), verdict or "missing"
        yield f"The sampled looks mostly say {mostly}, and the verdict is {own}: hiding regions tells nothing about it."
        return
    if depends == YES:
        yield "This verdict depends on its regions: with all of them hidden, most sampled looks say another one."
    elif depends == NO:
        yield (
            "This verdict does not depend on its regions: with all of them hidden, most sampled looks still say "
            f"{verdict}. What is said about them need not be why the model says {verdict}."
        )
    else:
        yield f"Whether this verdict depends on its regions is not clear with {_looks(probe)}."
    if depends != YES and _falls_far(probe):
        yield f"With all of them hidden, far fewer looks say {verdict}."
    elsewhere = "where other places of the same sizes are hidden"
    if depends_on_random == YES and depends == YES:
        yield f"It is lost too {elsewhere}, so that this shows little."
    elif depends_on_random == YES:
        yield f"It is lost, though, {elsewhere}, so that it rests on more than what was marked."
    elif depends_on_random == UNCLEAR and depends == YES:
        yield f"Whether it is lost too {elsewhere} is not clear."


def depends_of_row(probe: Probe | None, verdict: str | None) -> str:
    """Whether the verdict of a row depends on its regions: YES, NO or UNCLEAR; empty where the probe tells nothing."""
    if probe is None or verdict is None or verdict != _mostly_said(probe):
        return ""
    return _is_lost(probe, probe.all_share)


def _mostly_said(probe: Probe) -> str | None:
    """The word of most sampled looks at the image as it is; None where neither has more."""
    if probe.share is None or probe.share == 0.5:
        return None
    return GENERATED if probe.share > 0.5 else REAL


def _is_lost(probe: Probe, hidden_share: float | None) -> str:
    """Whether what most looks say is lost: clearly so, clearly not, or not clear with so few samples."""
    if probe.share is None or hidden_share is None:
        return ""
    if min(abs(probe.share - 0.5), abs(hidden_share - 0.5)) < probe.margin:
        return UNCLEAR
    return YES if (probe.share > 0.5) != (hidden_share > 0.5) else NO


def _falls_far(probe: Probe) -> bool:
    if probe.share is None or probe.all_share is None:
        return False
    fall = probe.share - probe.all_share
    return (fall if probe.share > 0.5 else -fall) >= probe.margin


def _looks(probe: Probe) -> str:
    return counted(probe.samples, "sampled look") if probe.samples else "sampled looks whose number is not stated"


def regions_in_words(probe: Probe | None, verdict: str | None) -> dict[tuple[float, ...], str]:
    """What was found when each region alone was hidden, by its box."""
    word = verdict or GENERATED
    return {tuple(region.box): _region_in_words(region, word) for region in probe.regions} if probe else {}


def _region_in_words(region: ProbedRegion, word: str) -> str:
    return (
        f"Hidden, {_saying(region.share, word)} of sampled looks say {word} ({_HALVES}); with another place of the "
        f"same size hidden, {_saying(region.random_share, word)}."
    )


def _saying(share: float, word: str) -> str:
    """The part of sampled looks that say a word, of which `share` say "generated"."""
    return percent(share if word == GENERATED else 1 - share)
