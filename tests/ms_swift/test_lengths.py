"""Rows that are longer than `--max_length` are counted and named before the training."""

from pathlib import Path
from typing import Any

import pytest
from data_sets import LABELS, load, training_template, write
from PIL import Image

from swift_zoomin.plugin.lengths import most_tokens, row_tokens
from swift_zoomin.plugin.template import ZoomInTemplate
from swift_zoomin.records import RecordError
from swift_zoomin.rows import PURPOSES


@pytest.fixture(autouse=True)
def template(processor: Any) -> ZoomInTemplate:
    return training_template(processor)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def long_rows(folder: Path) -> str:
    """Eight records: crops of three kinds of windows, none, words of many bytes, and words that look like marks."""
    for number in range(8):
        Image.new("RGB", (900, 300)).save(folder / f"{number}.png")
    boxes = [[], [[0, 0, 900, 300]], [[5, 5, 7, 7], [0, 0, 900, 3]], [[10, 10, 300, 200]] * 7]
    rows = [
        {
            "image": f"{2 * index + label_at}.png",
            "label": label,
            "explanation": "Kein Schärfeverlauf: 文字が溶ける <image> <|im_end|>. " * 3,
            "boxes": some,
        }
        for index, some in enumerate(boxes)
        for label_at, label in enumerate(LABELS)
    ]
    return str(write(folder, *rows))


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_row_is_as_long_as_the_template_makes_it(purpose: str, long_rows: str, template: ZoomInTemplate) -> None:
    for row in load(f"{long_rows}:{purpose}"):
        encoded = len(template.encode(row)["input_ids"])
        assert row_tokens(row, template) == encoded
        assert most_tokens(row, template) >= encoded


def test_the_bound_holds_for_a_row_of_two_letters(template: ZoomInTemplate) -> None:
    template.template_meta.default_system = ""  # its words would make up for the marks around messages
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    row = {"messages": messages, "images": []}
    assert len(template.encode(row)["input_ids"]) == row_tokens(row, template) <= most_tokens(row, template)


def between_the_queries(path: str, template: ZoomInTemplate) -> tuple[int, int]:
    """(the longest row of query 1, the shortest of query 2) of the purpose sft."""
    lengths = [row_tokens(row, template) for row in load(f"{path}:sft", shuffle=False)]
    return max(lengths[::2]), min(lengths[1::2])


def test_a_limit_between_the_queries_is_refused_before_training(long_rows: str, template: ZoomInTemplate) -> None:
    longest_first, shortest_second = between_the_queries(long_rows, template)
    assert longest_first < shortest_second
    template.max_length = shortest_second - 1
    message = (
        rf"records\.jsonl:sft: 8 of 8 rows of query 2 are longer than --max_length {shortest_second - 1}: they are "
        r"left out, and others take their places; the longest has \d+ tokens; raise --max_length, or lower MAX_PIXELS"
    )
    with pytest.raises(RecordError, match=message):
        load(f"{long_rows}:sft")


@pytest.mark.parametrize(
    ("strategy", "fate"),
    [("raise", "they are left out"), ("left", "they lose their beginning"), ("right", "they lose their end")],
)
def test_some_rows_that_do_not_fit_are_counted_query_by_query(
    long_rows: str, template: ZoomInTemplate, caplog: pytest.LogCaptureFixture, strategy: str, fate: str
) -> None:
    _, shortest_second = between_the_queries(long_rows, template)
    template.max_length, template.truncation_strategy = shortest_second, strategy
    with caplog.at_level("WARNING", "swift"):
        dataset = load(f"{long_rows}:sft", shuffle=False)
    said = [record.getMessage() for record in caplog.records]
    [warning] = [line for line in said if "no command line names this file" not in line]
    too_long = sum(row_tokens(row, template) > shortest_second for row in dataset)
    assert 0 < too_long < 8
    assert f"{too_long} of 8 rows of query 2 are longer than --max_length {shortest_second}: {fate}" in warning


def test_a_run_that_is_no_training_has_no_limit(long_rows: str, template: ZoomInTemplate) -> None:
    template.max_length = 10
    template.set_mode("transformers")
    assert len(load(f"{long_rows}:sft")) == 16
