"""Rows are made without ms-swift, and keep what a record says."""

import subprocess
import sys

from conftest import LIMITS
from swift.dataset import RowPreprocessor

from swift_zoomin.fields import column_name
from swift_zoomin.images import ImageRef
from swift_zoomin.records import Record
from swift_zoomin.rows import PURPOSES, UNANSWERED, WITH_FIRST_REPLY, query_of


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
    record = Record(
        "a.png", ImageRef("/a.png", (56, 56), limits=LIMITS), "real", "Sharp.", [[0, 0, 28, 28]], ["corner"]
    )
    donors = {"real": [record], "generated": []}
    for purpose, (build, _) in PURPOSES.items():
        rows = [{"messages": messages} for messages, _ in build(record, donors)]
        assert (purpose in UNANSWERED) == (rows[0]["messages"][-1]["role"] == "user")
        assert (purpose in WITH_FIRST_REPLY) == (query_of(rows[-1]) == 2)
