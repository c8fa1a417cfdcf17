"""Rows are made without ms-swift, and keep what a record says."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from conftest import LIMITS

from swift_zoomin.images import ImageRef
from swift_zoomin.records import Record, RecordError
from swift_zoomin.replies import VERDICTS, Reply, parse_reply
from swift_zoomin.rows import PURPOSES, query_of, records_to_rows


def test_rows_need_no_ms_swift() -> None:
    code = "import sys, swift_zoomin.rows; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "vllm", "swift", "datasets"} & set(loaded)


def test_purposes_are_named_by_what_their_rows_hold() -> None:
    lenders = with_own_words(4)
    for name, purpose in PURPOSES.items():
        rows = records_to_rows(lenders[:1], name, LIMITS, lenders=lenders)
        assert purpose.has_answers == (rows[0]["messages"][-1]["role"] == "assistant")
        assert purpose.has_first_reply == (query_of(rows[-1]) == 2)


# First replies that are drawn. How they are drawn is free; these hold however it is done.


def with_own_words(count: int) -> list[Record]:
    """So many records, half of them of each label, every one with an explanation and a region label of its own."""
    return [
        Record(
            f"{number}.png",
            ImageRef(f"/images/{number}.png", (112, 112)),
            VERDICTS[number % 2],
            f"Explanation {number}.",
            [[0, 0, 56, 56]],
            [f"region {number}"],
        )
        for number in range(count)
    ]


def first_replies(records: list[Record]) -> list[Reply]:
    """The untrained first reply of each record's row of query 2."""
    rows = [row for row in records_to_rows(records, "sft", LIMITS) if query_of(row) == 2]
    return [parse_reply(row["messages"][1]["content"]) for row in rows]


@pytest.mark.parametrize("label", VERDICTS)
def test_drawn_verdicts_are_about_half_of_each_for_the_records_of_one_label(label: str) -> None:
    """One verdict for all records would be right for half of them too, and a right one for all would be the answer."""
    records = with_own_words(400)
    drawn = [
        reply.verdict for reply, record in zip(first_replies(records), records, strict=True) if record.label == label
    ]
    assert set(drawn) == set(VERDICTS)
    assert drawn.count("real") == pytest.approx(100, abs=28)  # of 200 fair draws: four standard deviations of 7.07


def test_a_record_is_drawn_the_same_in_every_run_and_in_any_order() -> None:
    records = with_own_words(40)
    verdicts = [reply.verdict for reply in first_replies(records)]
    assert verdicts == [reply.verdict for reply in first_replies(records)]
    assert verdicts == [reply.verdict for reply in first_replies(records[::-1])][::-1]


def test_a_record_never_lends_words_to_itself() -> None:
    """Among two records of a label every other draw would be its own."""
    for number in range(20):
        records = [replace(record, name=f"{number}-{record.name}") for record in with_own_words(4)]
        for reply, record in zip(first_replies(records), records, strict=True):
            assert record.explanation not in reply.explanation
            assert not set(record.box_labels) & set(reply.box_labels)


def test_a_drawn_reply_marks_the_records_own_regions() -> None:
    assert [reply.boxes_model for reply in first_replies(with_own_words(4))] == [[[0, 0, 56, 56]]] * 4


# What a purpose needs


TAUGHT = {"sft": ("explanation", "boxes"), "sft_joint": ("explanation", "boxes"), "ground": ("explanation", "boxes")}
TAUGHT |= {"explain": ("explanation",), "verdict": (), "query1": (), "query2": ()}


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize(
    ("name", "value"),
    [("explanation", ""), ("explanation", " \n\t"), ("boxes", None)],
    ids=["no explanation", "a blank explanation", "no annotated boxes"],
)
def test_a_record_without_what_a_purpose_teaches_is_refused_and_named(purpose: str, name: str, value: Any) -> None:
    records = with_own_words(5)
    changed = {"boxes_px": value, "box_labels": []} if name == "boxes" else {name: value}
    records[4] = replace(records[4], **changed)
    if name not in TAUGHT[purpose]:
        assert records_to_rows(records, purpose, LIMITS)
        return
    with pytest.raises(RecordError) as refused:
        records_to_rows(records, purpose, LIMITS, "d/records.jsonl")
    assert str(refused.value) == f"d/records.jsonl: 4.png has no {name}; {purpose} teaches it"


def test_a_record_annotated_with_no_region_is_taught() -> None:
    records = [replace(record, boxes_px=[], box_labels=[]) for record in with_own_words(4)]
    assert all(records_to_rows(records, purpose, LIMITS) for purpose in PURPOSES)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_an_image_that_the_model_cannot_be_shown_is_refused_before_training(purpose: str) -> None:
    """Also where no box of it is taught: the rollout or the trainer would end there."""
    records = with_own_words(5)
    records[4] = replace(records[4], image=ImageRef("/images/strip.png", (6711, 36)))
    with pytest.raises(RecordError) as refused:
        records_to_rows(records, purpose, LIMITS, "d/records.jsonl")
    assert str(refused.value).startswith("d/records.jsonl: /images/strip.png: 6711x36 pixels")
