"""Samples of an image's second look, and the share of them that says "generated": what a score is made from.

The question of the last look is asked again, K times, at temperature 1: the model's own distribution, not a sharpened
one. The exchange up to it stays as it was, so that an engine with a prefix cache reads it once. The seed of a sample is
its number, for every image the same, so that engines which draw for a batch have batches to draw for.

A sample without a verdict stays in the denominator, and speaks for neither side: it counts as half a vote. A row keeps
all verdicts as `sampled_verdicts`, null where there was none, so it can be seen how many they were.

The share is no score before `calibration.py` has seen held-out images. Sampling the first look too costs 2K
replies an image instead of K + 2, and ranks no better: on 200 images of the fading benchmark, K = 8, the AUC was 0.892
against 0.894 (tests/benchmarks/score.py measures both).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from swift_zoomin.calibrations import CALIBRATED
from swift_zoomin.episode import Answer, Conversation, Engine
from swift_zoomin.images import ImageError
from swift_zoomin.replies import GENERATED, parse_reply

TEMPERATURE = 1.0
# Sampled from: more than any vocabulary has. 0 and -1 mean all too, but ms-swift puts the model's own number in place.
ALL_TOKENS = 1 << 20
STABLE = "stable "  # how the part of made_by begins that says how an image was encoded again


async def sample(engine: Engine, conversation: Conversation, samples: int) -> list[str | None] | None:
    """The verdicts of so many sampled answers to the last question of a conversation, each a word or None.

    None where it never came to that question: the image could not be read, or the first reply was cut. Raises
    ImageError where one of them could not be had: the image's file has gone meanwhile, or a server failed.
    """
    if conversation.episode.next_question() is not None:
        return None
    return await sample_answers(engine, without_last_reply(conversation), samples)


async def sample_answers(engine: Engine, asked: Conversation, samples: int) -> list[str | None]:
    """The verdicts of so many sampled answers to the question that a conversation ends with. Raises as `sample`."""
    answers = await asyncio.gather(*(engine.answer(asked, TEMPERATURE, number) for number in range(samples)))
    return [_verdict(answer) for answer in answers]


def _verdict(answer: Answer | ImageError) -> str | None:
    if isinstance(answer, ImageError):
        raise answer
    return parse_reply(answer.text).verdict


def without_last_reply(conversation: Conversation) -> Conversation:
    """The conversation as it was when its last question was asked."""
    episode = replace(conversation.episode, replies=conversation.episode.replies[:-1])
    return Conversation(episode, conversation.messages[:-1], conversation.images)


def share(sampled: Sequence[str | None]) -> float:
    """The share of "generated" in 0..1, one of the 2K + 1 of `shares`; a sample without a verdict is half a vote."""
    halves = 2 * sum(verdict == GENERATED for verdict in sampled) + sum(verdict is None for verdict in sampled)
    return halves / (2 * len(sampled))


def shares(samples: int) -> list[float]:
    """Every share that so many samples can have, lowest first."""
    return [halves / (2 * samples) for halves in range(2 * samples + 1)]


def how_sampled(samples: int) -> str:
    """What `made_by` says of the samples."""
    return f"samples {samples} at temperature {TEMPERATURE}"


def made_samples(made_by: str) -> str:
    """The parts of `made_by` that sampled verdicts depend on."""
    not_theirs = (CALIBRATED, STABLE)
    parts = [part for part in made_by.split("|") if not part.startswith(not_theirs)]
    return "|".join(parts)
