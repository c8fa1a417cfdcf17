"""Rows are made without ms-swift, and keep what a record says."""

import subprocess
import sys

from conftest import LIMITS
from swift.dataset import RowPreprocessor

from swift_zoomin.fields import column_name
from swift_zoomin.images import ImageRef
from swift_zoomin.records import Record
from swift_zoomin.rows import PURPOSES, UNANSWERED, WITH_FIRST_REPLY, query_of, records_to_rows


def records_of(label: str, count: int) -> list[Record]:
    """Records of one class, each of an image and with words of its own."""
    return [
        Record(
            f"{label}{at}.png", ImageRef(f"/{label}{at}.png", (56, 56)), label, f"{label} {at}.", [[0, 0, 28, 28]], [""]
        )
        for at in range(count)
    ]


def test_rows_need_no_ms_swift() -> None:
    code = "import sys, swift_zoomin.rows; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "vllm", "swift", "datasets"} & set(loaded)


def test_no_further_field_becomes_a_column_of_ms_swift() -> None:
    names = [*RowPreprocessor.standard_keys, "dataset", "completions", "trainer_state", "source"]
    columns = [column_name(name) for name in names]
    assert not set(columns) & set(names[:-1])
    assert columns[-1] == "source"
    assert len(set(columns)) == len(names)


def test_purposes_are_named_by_what_their_rows_hold() -> None:
    lenders = records_of("real", 2) + records_of("generated", 2)
    for purpose in PURPOSES:
        rows = records_to_rows(lenders[:1], purpose, LIMITS, lenders=lenders)
        assert (purpose in UNANSWERED) == (rows[0]["messages"][-1]["role"] == "user")
        assert (purpose in WITH_FIRST_REPLY) == (query_of(rows[-1]) == 2)
