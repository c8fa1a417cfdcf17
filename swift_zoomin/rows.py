"""Records as training rows: what a conversation about one image is, one named function a purpose. No ms-swift here.

| purpose | rows an image | for |
|---|---|---|
| sft | query 1; query 2 after a first reply drawn at random, untrained | SFT |
| sft_joint | both queries in one conversation, both trained | comparison: teaches copying the first verdict |
| query1, query2 | query 1, no answer | GRPO stage 1; stage 2 with `--multi_turn_scheduler` |
| explain, ground, verdict | one turn and its answer | the one-turn rows of Table 1: E, E+G, verdict only |

Images stay references and boxes in the answers are model pixels, so the rows hold for the pixel limits of one model,
which the references name.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from swift_zoomin import prompts
from swift_zoomin.boxes import PixelLimits, to_model
from swift_zoomin.episode import ONE_TURN, Episode
from swift_zoomin.fields import column_name
from swift_zoomin.images import ImageError, ImageRef
from swift_zoomin.records import Record, RecordError, list_faults
from swift_zoomin.replies import PARTS, VERDICTS, Reply, render_reply

Message = dict[str, Any]
Donors = dict[str, list[Record]]

_SECOND = ("explanation", "verdict")


def records_to_rows(
    records: list[Record],
    purpose: str,
    limits: PixelLimits,
    path: str = "records",
    lenders: list[Record] | None = None,
) -> list[dict[str, Any]]:
    """Rows of one purpose for a model that is shown so many pixels of an image.

    `lenders` are all the records that a run trains on, by default these alone: the words of drawn first replies come
    from them. Every field of a record becomes a column (`fields.column_name`) for the rewards. Raises RecordError.
    """
    build, needed = PURPOSES[purpose]
    records = [replace(record, image=record.image.under(limits)) for record in records]
    faults = [f"{path}: {fault}" for record in records for fault in _faults(record, purpose, needed)]
    if faults:
        raise RecordError(list_faults(faults))
    donors = _donors(records if lenders is None else lenders)
    if purpose in DRAWN and (fault := _lenders_fault(donors)):
        raise RecordError(f"{path}: {purpose} {fault}")
    return [_row(record, turns) for record in records for turns in build(record, donors)]


def _donors(records: list[Record]) -> Donors:
    """The records that have words to lend, by verdict."""
    able = [record for record in records if record.explanation.strip()]
    return {verdict: [record for record in able if record.label == verdict] for verdict in VERDICTS}


def _lenders_fault(donors: Donors) -> str | None:
    """Why drawn replies would tell right verdicts from wrong ones: some would have no words, or the record's own."""
    images = {verdict: {record.image.path for record in donors[verdict]} for verdict in VERDICTS}
    if all(len(paths) >= 2 for paths in images.values()):
        return None
    found = " and ".join(f"{len(paths)} {verdict}" for verdict, paths in images.items())
    return (
        "lends the words of first replies from record to record, and needs two images of each label in the data sets "
        f"of a run together; found {found} (name the files of both labels after one --dataset)"
    )


def _faults(record: Record, purpose: str, needed: tuple[str, ...]) -> Iterator[str]:
    """What keeps a sound record from this purpose, under the model's pixel limits."""
    for name in needed:
        value = getattr(record, name)
        if value is None or (isinstance(value, str) and not value.strip()):
            yield f"{record.name} has no {name}; {purpose} teaches it"
    try:
        _ = record.image.size_model
    except ImageError as error:
        yield str(error)


def _row(record: Record, turns: tuple[list[Message], list[ImageRef]]) -> dict[str, Any]:
    messages, images = turns
    return {
        **{column_name(name): value for name, value in record.extra.items()},
        "label": record.label,
        "explanation": record.explanation,
        "boxes": record.boxes and [[float(number) for number in box] for box in record.boxes],
        "box_labels": record.box_labels,
        "messages": messages,
        "images": [{"bytes": None, "path": str(image)} for image in images],
    }


def gold_reply(record: Record) -> Reply:
    """The annotation as a reply; boxes in model pixels."""
    image = record.image
    boxes = [to_model(box, image.size, image.size_model) for box in record.boxes or []]
    return Reply(record.label, [list(map(float, box)) for box in boxes], record.box_labels, record.explanation)


def drawn_reply(record: Record, donors: Donors) -> Reply:
    """A first reply that knows the regions and not the answer: its verdict is drawn, seeded by the record.

    Its words come from a record of another image with the drawn label. The record's own would give the answer away,
    and so would words that only right verdicts have, or that tell which file a record stands in: so `donors` are the
    records of all data sets of a run, and hold at least two images of each label.
    """
    rng = random.Random(record.name)
    verdict = rng.choice(VERDICTS)
    donor = rng.choice(donors[verdict])
    while donor.image.path == record.image.path:
        donor = rng.choice(donors[verdict])
    labels = [text for text in donor.box_labels if text]
    gold = gold_reply(record)
    drawn_labels = [rng.choice(labels) if labels else "" for _ in gold.boxes]
    return Reply(verdict, gold.boxes, drawn_labels, donor.explanation)


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _assistant(text: str, **more: Any) -> Message:
    return {"role": "assistant", "content": text, **more}


def _both_queries(record: Record, first: Reply, **more: Any) -> tuple[list[Message], list[ImageRef]]:
    """The whole exchange after a given first reply; `more` goes into that reply's message."""
    episode = Episode(record.image)
    messages, images = [], []
    for reply, parts, extra in ((first, PARTS, more), (gold_reply(record), _SECOND, {})):
        question = episode.next_question()
        assert question
        text = render_reply(reply, parts)
        messages += [_user(question.text), _assistant(text, **extra)]
        images += question.images
        episode.replies.append(text)
    return messages, images


def _one_turn(prompt: str, parts: tuple[str, ...] = ()) -> Callable[[Record, Donors], list[Any]]:
    """Rows of one question, with the annotation's `parts` as the answer to learn; no part, no answer."""

    def build(record: Record, donors: Donors) -> list[Any]:
        answer = [_assistant(render_reply(gold_reply(record), parts))] if parts else []
        return [([_user(prompt), *answer], [record.image])]

    return build


_query1 = _one_turn(prompts.QUERY1)
_query1_taught = _one_turn(prompts.QUERY1, PARTS)


def _sft(record: Record, donors: Donors) -> list[Any]:
    return [*_query1_taught(record, donors), _both_queries(record, drawn_reply(record, donors), loss=False)]


def _sft_joint(record: Record, donors: Donors) -> list[Any]:
    return [_both_queries(record, gold_reply(record))]


# What builds the rows of a record, and which annotations a record must have for it.
PURPOSES: dict[str, tuple[Callable[[Record, Donors], list[Any]], tuple[str, ...]]] = {
    "sft": (_sft, ("explanation", "boxes")),
    "sft_joint": (_sft_joint, ("explanation", "boxes")),
    "query1": (_query1, ()),
    "query2": (_query1, ()),
    "explain": (_one_turn(*ONE_TURN["explain"]), ("explanation",)),
    "ground": (_one_turn(*ONE_TURN["ground"]), ("explanation", "boxes")),
    "verdict": (_one_turn(*ONE_TURN["verdict"]), ()),
}
UNANSWERED = ("query1", "query2")  # nothing to learn in them: GRPO makes the replies
DRAWN = ("sft",)  # their first replies are drawn, from all records of a run
WITH_FIRST_REPLY = ("sft", "sft_joint")  # their conversations hold a reply, so GRPO would not make its own


def query_of(row: dict[str, Any]) -> int:
    """Which query a row ends with, 1 or 2."""
    return sum(message["role"] == "user" for message in row["messages"])
