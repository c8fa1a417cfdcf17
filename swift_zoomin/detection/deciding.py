"""What `zoomin detect` says beyond the model's verdict, where it is asked to: samples, a score, and a decision.

--samples 8                    "sampled_verdicts", for zoomin calibrate
--calibration calibration.json these, a calibrated "score", and "decision": real, generated or cannot tell
--stable                       "decision": the verdict (or what the calibration decides), or cannot tell where a
                               mild re-encoding of the image changes the verdict, or cannot be looked at

Where one of these looks fails, the server's answer or the image's file being gone, the row has that as its `error`, and
the next run tries the image again.
"""

import argparse
from dataclasses import dataclass
from typing import Any

from swift_zoomin import arguments
from swift_zoomin.arguments import complain
from swift_zoomin.calibrations import Calibration, Limit, read_calibration
from swift_zoomin.detection.calibration import FALSE_ALARMS
from swift_zoomin.detection.score import STABLE, how_sampled, sample, share
from swift_zoomin.detection.stability import Look, seen_again
from swift_zoomin.episode import Conversation, Engine
from swift_zoomin.images import ImageError
from swift_zoomin.predictions import CANNOT_TELL, has_failed
from swift_zoomin.records import RecordError
from swift_zoomin.replies import parse_reply

Decision = tuple[str, str | None]  # and why it is none


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--samples",
        type=arguments.count,
        metavar="K",
        help="sample the last look K times, for zoomin calibrate (8 is a start)",
    )
    parser.add_argument(
        "--calibration", type=arguments.path, metavar="FILE", help="of zoomin calibrate: a probability, and a decision"
    )
    parser.add_argument(
        "--false-alarms",
        type=float,
        choices=FALSE_ALARMS,
        help="share of real images that --calibration may call generated, and of generated ones real (0.01)",
    )
    parser.add_argument(
        "--stable", action="store_true", help="look again after mild re-encodings; a verdict that changes cannot tell"
    )


@dataclass(frozen=True)
class Deciding:
    """What is asked for besides a verdict. A calibration comes with its limit and its number of samples."""

    samples: int = 0
    calibration: Calibration | None = None
    limit: Limit | None = None
    is_stable_wanted: bool = False

    def made_by(self) -> str:
        """What the further fields depend on, each part with a bar before it; empty where nothing is asked for."""
        parts = []
        if self.samples:
            parts.append(how_sampled(self.samples))
        if self.calibration and self.limit:
            parts.append(self.calibration.as_part(self.limit))
        if self.is_stable_wanted:
            parts.append(f"{STABLE}jpeg90, scale75")
        return "".join(f"|{part}" for part in parts)

    async def further_fields(
        self, engine: Engine, path: str, seen: Conversation | ImageError, look: Look
    ) -> dict[str, Any]:
        """The fields of a row that are asked for, of an image whose exchange is over; with an `error` if they fail."""
        if isinstance(seen, ImageError):
            return self.unread_fields()
        sampled = None
        try:
            if self.samples:
                sampled = await sample(engine, seen, self.samples)
            decision = self._decide(seen, sampled)
            if decision[0] != CANNOT_TELL and self.is_stable_wanted:
                decision = await _held(path, seen, look, decision)
        except ImageError as error:
            decision = CANNOT_TELL, f"it could not be looked at again: {error}"
            return self._fields(sampled, decision) | {"error": str(error)}
        return self._fields(sampled, decision)

    def unread_fields(self) -> dict[str, Any]:
        """Those of an image that could not be read."""
        return self._fields(None, (CANNOT_TELL, "the image could not be read"))

    def _fields(self, sampled: list[str | None] | None, decision: Decision) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if self.samples:
            fields["sampled_verdicts"] = sampled
        if self.calibration:
            fields["score"] = None if sampled is None else self.calibration.probability(share(sampled))
        if self.limit or self.is_stable_wanted:
            fields |= {"decision": decision[0], "decision_reason": decision[1]}
        return fields

    def _decide(self, seen: Conversation, sampled: list[str | None] | None) -> Decision:
        if self.limit and sampled is not None:
            return self.limit.decide(share(sampled))
        if self.limit:
            return CANNOT_TELL, f"nothing could be sampled: {seen.error}"
        verdict = verdict_of(seen)
        return (verdict, None) if verdict else (CANNOT_TELL, "no verdict")


NOTHING_FURTHER = Deciding()


async def _held(path: str, seen: Conversation, look: Look, decision: Decision) -> Decision:
    """The decision, if the verdict holds after re-encodings. Raises ImageError where a look at one fails."""
    flipped, unseen = [], []
    for name, again in (await seen_again(path, look)).items():
        if isinstance(again, ImageError):
            unseen.append(f"{name} ({again})")
        elif has_failed({"error": again.error}):
            raise ImageError(f"as {name}: {again.error}")
        elif verdict_of(again) != verdict_of(seen):
            flipped.append(name)
    if flipped:
        return CANNOT_TELL, f"the verdict changes under {' and '.join(flipped)}"
    if unseen:
        return CANNOT_TELL, f"it could not be looked at again as {' and '.join(unseen)}"
    return decision


def verdict_of(seen: Conversation | ImageError) -> str | None:
    """The final verdict of an exchange; None where it never came to one."""
    if isinstance(seen, ImageError) or not seen.episode.replies or seen.episode.next_question() is not None:
        return None
    return parse_reply(seen.episode.replies[-1]).verdict


def read_deciding(options: argparse.Namespace, made_by: str) -> Deciding:
    """What the arguments ask for, which may be nothing.

    Raises RecordError for a calibration of another model, other settings or another number of samples.
    """
    if options.calibration is None:
        return Deciding(options.samples or 0, is_stable_wanted=options.stable)
    calibration = read_calibration(options.calibration)
    samples = options.samples or calibration.samples
    wanted = f"{made_by}|{how_sampled(samples)}"
    if calibration.made_by != wanted:
        raise RecordError(
            f"{options.calibration}: calibrated on predictions made by {calibration.made_by}; this is {wanted}; "
            "calibrate on predictions of this model with these settings"
        )
    false_alarms = options.false_alarms or FALSE_ALARMS[0]
    limit = calibration.limit(false_alarms)
    if limit is None:
        raise RecordError(f"{options.calibration}: no limit at --false-alarms {false_alarms}")
    for note in calibration.notes:
        complain(f"{options.calibration}: {note}")
    return Deciding(samples, calibration, limit, options.stable)
