"""Records as training rows: what a conversation about one image is, one named function a purpose. No ms-swift here.

| purpose | rows an image | for |
|---|---|---|
| sft | query 1; query 2 after a first reply drawn at random, untrained | SFT |
| sft_joint | both queries in one conversation, both trained | comparison: teaches copying the first verdict |
| query1, query2 | query 1, no answer | GRPO stage 1; stage 2 with `--multi_turn_scheduler` |
| explain, ground, verdict | one turn and its answer | the one-turn rows of Table 1: E, E+G, verdict only |

Images stay references and boxes in the answers stand in the model's own frame, so the rows hold for the family and the
pixel limits of one model, which the references name.
"""

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from swift_zoomin.boxes import PixelLimits, to_model
from swift_zoomin.episode import ONE_TURN, Episode, first_question
from swift_zoomin.fields import column_name
from swift_zoomin.images import ImageRef
from swift_zoomin.records import Record, RecordError, list_faults
from swift_zoomin.replies import PARTS, VERDICTS, Reply, render_reply

Message = dict[str, Any]
Donors = dict[str, list[tuple[str, Record]]]  # by verdict: image files, and records whose words a drawn reply may have

_SECOND = ("explanation", "verdict")  # the parts of an answer to query 2


@dataclass(frozen=True)
class Turns:
    """One row's messages and the images that they show, in the order of their `<image>` tags."""

    messages: list[Message]
    images: list[ImageRef]


@dataclass(frozen=True)
class Purpose:
    """What builds the rows of a record, and the fields of `Record` that it cannot do without.

    `has_answers`: there is something to learn in them. `has_first_reply`: their conversations hold a reply, so GRPO
    would not make its own. `draws`: first replies are drawn, from all records of a run.
    """

    build: Callable[[Record, Donors], list[Turns]]
    needs: tuple[str, ...] = ()
    has_answers: bool = True
    has_first_reply: bool = False
    draws: bool = False

    @property
    def shows_regions(self) -> bool:
        """Whether the model is taught the regions, or is rolled out and rewarded for them."""
        return "boxes_px" in self.needs or not self.has_answers


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
    records = [replace(record, image=record.image.under(limits)) for record in records]
    faults = [f"{path}: {fault}" for record in records for fault in _faults(record, purpose)]
    if faults:
        raise RecordError(list_faults(faults))
    donors = _donors(records if lenders is None else lenders)
    chosen = PURPOSES[purpose]
    if chosen.draws and (fault := _lenders_fault(donors)):
        raise RecordError(f"{path}: {purpose} {fault}")
    return [_row(record, turns) for record in records for turns in chosen.build(record, donors)]


def _faults(record: Record, purpose: str) -> Iterator[str]:
    """What keeps a sound record from this purpose, under the model's pixel limits."""
    for name in PURPOSES[purpose].needs:
        value = getattr(record, name)
        is_blank = isinstance(value, str) and not value.strip()
        if value is None or is_blank:
            yield f"{record.name} has no {name.removesuffix('_px')}; {purpose} teaches it"
    if fault := record.image.fault:
        yield fault


def _donors(records: list[Record]) -> Donors:
    """The records that have words to lend, by verdict, each with its image."""
    donors: Donors = {verdict: [] for verdict in VERDICTS}
    for record in records:
        if record.explanation.strip():
            donors[record.label].append((_image_file(record), record))
    return donors


def _image_file(record: Record) -> str:
    """The file behind whatever links and dots lead to an image, by which two records of one image are told."""
    return os.path.realpath(record.image.path)


def _lenders_fault(donors: Donors) -> str | None:
    """Why drawn replies would tell right verdicts from wrong ones: some would have no words, or the record's own."""
    images = {verdict: {image for image, _ in donors[verdict]} for verdict in VERDICTS}
    if all(len(paths) >= 2 for paths in images.values()):
        return None
    found = " and ".join(f"{len(paths)} {verdict}" for verdict, paths in images.items())
    return (
        "lends the words of first replies from record to record, and needs two images of each label in the data sets "
        f"of a run together; found {found} (name the files of both labels after one --dataset, or put them into one)"
    )


def _row(record: Record, turns: Turns) -> dict[str, Any]:
    boxes = record.boxes_px
    if boxes is not None:
        boxes = [[float(number) for number in box] for box in boxes]  # one type for the whole column
    return {
        **{column_name(name): value for name, value in record.extra.items()},
        "label": record.label,
        "explanation": record.explanation,
        "boxes": boxes,
        "box_labels": record.box_labels,
        "messages": turns.messages,
        "images": [{"bytes": None, "path": str(image)} for image in turns.images],
    }


def gold_reply(record: Record) -> Reply:
    """The annotation as a reply."""
    image = record.image
    boxes_model = [list(map(float, to_model(box, image.size, image.size_in_frame))) for box in record.boxes_px or []]
    return Reply(record.label, boxes_model, record.box_labels, record.explanation)


def drawn_reply(record: Record, donors: Donors) -> Reply:
    """A first reply that knows the regions and not the answer: its verdict is drawn, seeded by the record.

    Its words come from a record of another image with the drawn label. The record's own would give the answer away,
    and so would words that only right verdicts have, or that tell which file a record stands in: so `donors` are the
    records of all data sets of a run, and hold at least two images of each label.
    """
    rng = random.Random(record.name)
    verdict = rng.choice(VERDICTS)
    own_image = _image_file(record)
    image, donor = rng.choice(donors[verdict])
    while image == own_image:
        image, donor = rng.choice(donors[verdict])
    labels = [text for text in donor.box_labels if text]
    gold = gold_reply(record)
    drawn_labels = [rng.choice(labels) if labels else "" for _ in gold.boxes_model]
    return Reply(verdict, gold.boxes_model, drawn_labels, donor.explanation)


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def _one_turn(record: Record, question: str, answer_parts: tuple[str, ...]) -> list[Turns]:
    """One question about the whole image, and the parts of the annotation that answer it."""
    answer = render_reply(gold_reply(record), answer_parts)
    return [Turns([_user(question), _assistant(answer)], [record.image])]


def _two_turns(record: Record, first: Reply) -> Turns:
    """The whole exchange: query 1, this first reply, and query 2 with the annotation as its answer."""
    episode = Episode(record.image)
    messages: list[Message] = []
    images: list[ImageRef] = []
    for reply, parts in ((first, PARTS), (gold_reply(record), _SECOND)):
        question = episode.next_question()
        assert question
        text = render_reply(reply, parts)
        messages += [_user(question.text), _assistant(text)]
        images += question.images
        episode.replies.append(text)
    return Turns(messages, images)


def _query1_alone(record: Record, donors: Donors) -> list[Turns]:
    return [Turns([_user(first_question(record.image))], [record.image])]


def _sft(record: Record, donors: Donors) -> list[Turns]:
    query2 = _two_turns(record, drawn_reply(record, donors))
    query2.messages[1]["loss"] = False  # ms-swift does not train the reply of a message that says so
    return [*_one_turn(record, first_question(record.image), PARTS), query2]


def _sft_joint(record: Record, donors: Donors) -> list[Turns]:
    return [_two_turns(record, gold_reply(record))]


def _variant(record: Record, name: str) -> list[Turns]:
    return _one_turn(record, first_question(record.image, name), ONE_TURN[name])


def _explain(record: Record, donors: Donors) -> list[Turns]:
    return _variant(record, "explain")


def _ground(record: Record, donors: Donors) -> list[Turns]:
    return _variant(record, "ground")


def _verdict(record: Record, donors: Donors) -> list[Turns]:
    return _variant(record, "verdict")


PURPOSES: dict[str, Purpose] = {
    "sft": Purpose(_sft, needs=("explanation", "boxes_px"), has_first_reply=True, draws=True),
    "sft_joint": Purpose(_sft_joint, needs=("explanation", "boxes_px"), has_first_reply=True),
    "query1": Purpose(_query1_alone, has_answers=False),
    "query2": Purpose(_query1_alone, has_answers=False),
    "explain": Purpose(_explain, needs=("explanation",)),
    "ground": Purpose(_ground, needs=("explanation", "boxes_px")),
    "verdict": Purpose(_verdict),
}


def query_of(row: dict[str, Any]) -> int:
    """Which query a row ends with, 1 or 2."""
    return sum(message["role"] == "user" for message in row["messages"])
