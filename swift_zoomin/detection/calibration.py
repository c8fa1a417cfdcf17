"""Calibration: from shares of sampled second looks to probabilities and decisions, learnt on held-out images.

`calibrations` has the format of what is learnt.

How the method is chosen: both are fitted in 10 folds, and the one with the smaller mean squared error outside its folds
is taken; Platt's where they are equal. Platt's is a logistic curve over the log-odds of the share, with his targets
short of 0 and 1, so that classes that separate perfectly have a finite slope. No probability is closer to 0 or 1 than
1 / (images + 2).

Limits are conformal. With N real images, one that is new reaches a share that k of them reach with a probability of at
most (k + 1) / (N + 1), whatever the samples are worth. "generated" is said from the lowest share on at which that is at
most `false_alarms`; "real" up to the highest share at which a generated image is called real at most as often. Shares
for which both would hold, as of a good model, whose images seldom come there, are neither's: each limit is moved past
the other. There is no such share where images are too few, or where samples say "generated" of too many real ones.
"""

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from swift_zoomin.arguments import counted
from swift_zoomin.calibrations import Bound, Calibration, Limit
from swift_zoomin.detection.score import shares
from swift_zoomin.records import RecordError
from swift_zoomin.replies import GENERATED, REAL

FALSE_ALARMS = (0.01, 0.05)
LEAST_OF_A_LABEL = 50  # images; their share above a threshold is known to within 14 points then
ISOTONIC, PLATT = "isotonic", "platt"
_FOLDS = 10
_CONFIDENCE = 0.95


def calibrate(values: Sequence[float], labels: Sequence[str], samples: int, made_by: str) -> Calibration:
    """Fit on images of these shares and labels. Raises RecordError where they are too few, or all of one label."""
    is_generated = np.array([label == GENERATED for label in labels])
    images = {REAL: int((~is_generated).sum()), GENERATED: int(is_generated.sum())}
    check_numbers(images)
    seen = np.array(values, dtype=float)
    every = np.array(shares(samples))
    errors = {method: _error_out_of_folds(method, seen, is_generated, samples) for method in (PLATT, ISOTONIC)}
    method = ISOTONIC if errors[ISOTONIC] < errors[PLATT] else PLATT
    fitted = _fit(method, seen, is_generated, every, samples)
    auc, chance = _auc(seen, is_generated)
    limits = [find_limit(rate, seen[~is_generated], seen[is_generated], every) for rate in FALSE_ALARMS]
    return Calibration(
        made_by,
        samples,
        images,
        round(auc, 4),
        method,
        {name: round(error, 5) for name, error in errors.items()},
        [round(float(probability), 5) for probability in fitted],
        limits,
        _notes(limits, images, auc, chance),
        _signature(),
    )


def check_numbers(images: dict[str, int]) -> None:
    """Raises RecordError where a label has too few images to calibrate on."""
    total = sum(images.values())
    if total and max(images.values()) == total:
        only = max(images, key=lambda label: images[label])
        raise RecordError(f"all {counted(total, 'image')} with sampled verdicts are {only}; expected both labels")
    if min(images.values()) < LEAST_OF_A_LABEL:
        found = ", ".join(f"{number} {label}" for label, number in images.items())
        raise RecordError(
            f"{counted(total, 'image')} with sampled verdicts ({found}), too few to calibrate on; expected at least "
            f"{LEAST_OF_A_LABEL} of each label"
        )


def _error_out_of_folds(method: str, seen: np.ndarray, is_generated: np.ndarray, samples: int) -> float:
    """The mean squared error of a method's probabilities, each fitted without the image."""
    from sklearn.model_selection import StratifiedKFold

    errors = np.empty(len(seen))
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    for fitted_on, left_out in folds.split(seen, is_generated):
        fitted = _fit(method, seen[fitted_on], is_generated[fitted_on], seen[left_out], samples)
        errors[left_out] = (fitted - is_generated[left_out]) ** 2
    return float(errors.mean())


def _fit(method: str, seen: np.ndarray, is_generated: np.ndarray, wanted: np.ndarray, samples: int) -> np.ndarray:
    """The probabilities of the wanted shares, learnt from the shares seen."""
    if method == ISOTONIC:
        from sklearn.isotonic import IsotonicRegression

        fitted = IsotonicRegression(out_of_bounds="clip").fit(seen, is_generated).predict(wanted)
    else:
        fitted = _platt(_log_odds(seen, samples), is_generated, _log_odds(wanted, samples))
    least = 1 / (len(seen) + 2)
    return np.clip(fitted, least, 1 - least)


def _platt(seen: np.ndarray, is_generated: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Platt (1999): each image stands for both labels, by the target of its own; then no slope is infinite.

    A slope that falls, as a model that knows nothing may have by chance, is taken for none.
    """
    from sklearn.linear_model import LogisticRegression

    generated, real = is_generated.sum(), (~is_generated).sum()
    targets = np.where(is_generated, (generated + 1) / (generated + 2), 1 / (real + 2))
    both = np.concatenate([seen, seen])[:, None]
    says_generated = np.repeat([True, False], len(seen))
    weights = np.concatenate([targets, 1 - targets])
    model = LogisticRegression(C=np.inf).fit(both, says_generated, sample_weight=weights)
    if model.coef_[0, 0] <= 0:
        return np.full(len(wanted), is_generated.mean())
    return model.predict_proba(wanted[:, None])[:, 1]


def _log_odds(values: np.ndarray, samples: int) -> np.ndarray:
    """Of a share of samples, with half a vote more for each side: none and all have finite ones."""
    votes = values * samples + 0.5
    return np.log(votes / (samples + 1 - votes))


def _auc(seen: np.ndarray, is_generated: np.ndarray) -> tuple[float, float]:
    """The area under the ROC curve, and how likely one as large is by chance (Mann and Whitney)."""
    from scipy.stats import mannwhitneyu

    generated, real = seen[is_generated], seen[~is_generated]
    test = mannwhitneyu(generated, real, alternative="greater")
    return float(test.statistic) / (len(generated) * len(real)), float(test.pvalue)


def find_limit(rate: float, real: np.ndarray, generated: np.ndarray, every: np.ndarray) -> Limit:
    """The outermost shares that images of the other label reach seldom enough, and where only one label would do."""
    seldom_real = {share for share in every if _is_seldom((real >= share).sum(), len(real), rate)}
    seldom_generated = {share for share in every if _is_seldom((generated <= share).sum(), len(generated), rate)}
    loud, quiet = sorted(seldom_real - seldom_generated), sorted(seldom_generated - seldom_real)
    return Limit(
        rate,
        _bound(loud[0], real >= loud[0], generated >= loud[0]) if loud else None,
        _bound(quiet[-1], generated <= quiet[-1], real <= quiet[-1]) if quiet else None,
    )


def _is_seldom(reached: int, images: int, rate: float) -> bool:
    """Whether a new image reaches a share that `reached` of `images` reach with at most this probability."""
    return (reached + 1) / (images + 1) <= rate


def _bound(share: float, is_wrong: np.ndarray, is_right: np.ndarray) -> Bound:
    """What lies beyond a share: a flag for each image of the other label, and of its own."""
    from scipy.stats import binomtest

    wrong = int(is_wrong.sum())
    bounds = binomtest(wrong, len(is_wrong)).proportion_ci(_CONFIDENCE, method="exact")
    interval = (round(float(bounds.low), 5), round(float(bounds.high), 5))
    return Bound(float(share), wrong, len(is_wrong), interval, int(is_right.sum()), len(is_right))


def _notes(limits: Sequence[Limit], images: dict[str, int], auc: float, chance: float) -> list[str]:
    """What a user should know before using this."""
    notes = []
    if chance > 1 - _CONFIDENCE:
        notes.append(f"the samples tell real from generated no better than chance (AUC {auc:.2f})")
    for limit in limits:
        least = round(1 / limit.false_alarms) - 1
        few = [f"{number} {label}" for label, number in images.items() if number < least]
        if few:
            found = " and ".join(few)
            notes.append(f"{limit.false_alarms:.0%} false alarms need {least} images of each label; there are {found}")
        elif limit.generated is None:
            notes.append(
                f"no share keeps false alarms at {limit.false_alarms:.0%}: all samples say generated of too many real "
                "images; more samples may tell them apart"
            )
    return notes


def _signature() -> str:
    versions = f"scikit-learn {version('scikit-learn')}|zoomin:{version('swift-zoomin')}"
    return f"folds {_FOLDS}|confidence {_CONFIDENCE}|{versions}"
