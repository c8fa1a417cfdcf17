"""Further fields: the values they may have, and the columns they become in ms-swift's data set."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from swift_zoomin.fields import OWN_FIELDS, RESERVED_FIELDS, column_name, field_faults, is_reserved
from swift_zoomin.records import RecordError, read_records


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    return tmp_path / "records.jsonl"


def write(path: Path, *further: str) -> Path:
    """A records file of these further fields, which are JSON as it stands."""
    path.write_text("".join(f'{{"image": "a.png", "label": "real", "n": {value}}}\n' for value in further))
    return path


@pytest.mark.parametrize(
    ("field", "column"),
    [
        ("source", "source"),
        ("solution", "solution"),  # read by ms-swift's own rewards, as it is meant
        ("objects", "zoomin_objects"),
        ("prompt_id", "zoomin_prompt_id"),
        ("rejected_by", "zoomin_rejected_by"),  # ms-swift takes `rejected_` off and makes a conversation of it
        ("zoomin_objects", "zoomin_zoomin_objects"),  # the column above is taken
        ("Objects", "Objects"),
    ],
)
def test_a_field_of_a_reserved_name_gets_a_column_of_its_own(field: str, column: str) -> None:
    assert column_name(field) == column


@given(st.text(max_size=3) | st.sampled_from(sorted(RESERVED_FIELDS)), st.integers(0, 3))
def test_columns_are_never_reserved_and_never_shared(name: str, times: int) -> None:
    names = ["zoomin_" * count + name for count in range(4)]
    columns = [column_name(each) for each in names]
    assert len(set(columns)) == 4
    assert not any(is_reserved(column) for column in columns)


def test_a_record_keeps_the_name_that_its_user_gave(path: Path) -> None:
    path.write_text('{"image": "a.png", "label": "real", "objects": ["car", "sign"]}\n')
    assert read_records(path)[0].extra == {"objects": ["car", "sign"]}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (str(2**63), f"n holds a number beyond 64 bits ({2**63}); write it as text"),
        (str(-(2**63) - 1), f"n holds a number beyond 64 bits ({-(2**63) - 1}); write it as text"),
        (f'[1, {{"id": {2**64}}}]', f"n holds a number beyond 64 bits ({2**64}); write it as text"),
        ("1" + "0" * 400, "n holds a number beyond 64 bits (about 398 digits); write it as text"),
        (r'["\ud83d"]', r"n holds half a character ('\ud83d'); remove it"),
        (r'{"\ud83d": 1}', r"n holds half a character ('\ud83d'); remove it"),
    ],
)
def test_a_value_that_no_column_can_hold_is_named(path: Path, value: str, problem: str) -> None:
    with pytest.raises(RecordError) as caught:
        read_records(write(path, "null", value))
    assert str(caught.value) == f"{path}:2: {problem}"


def test_the_largest_numbers_of_64_bits_are_kept(path: Path) -> None:
    values = [2**63 - 1, -(2**63), 2**53 + 1, 1e308]
    assert [record.extra["n"] for record in read_records(write(path, *map(json.dumps, values)))] == values


def test_whole_numbers_and_others_are_one_kind(path: Path) -> None:
    values = [record.extra["n"] for record in read_records(write(path, "1", "2.5", "-3", "1e3"))]
    assert values == [1, 2.5, -3, 1000.0]
    assert [type(value) for value in values] == [int, float, int, float]


deep = st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3))


@pytest.mark.slow
@given(st.lists(st.dictionaries(st.text(max_size=2), deep, max_size=3), max_size=4))
def test_faults_are_of_further_fields_only(rows: list[dict[str, Any]]) -> None:
    own = dict.fromkeys(OWN_FIELDS, 2**70)
    named = [(str(index), {**own, **row}) for index, row in enumerate(rows)]
    for fault in field_faults(named):
        assert not any(f": {name} " in fault for name in OWN_FIELDS)


def test_a_value_nested_as_deeply_as_json_allows_is_looked_through() -> None:
    value: Any = 2**63
    for _ in range(100_000):
        value = [value]
    assert list(field_faults([("1", {"n": value})])) == [
        f"1: n holds a number beyond 64 bits ({2**63}); write it as text"
    ]
