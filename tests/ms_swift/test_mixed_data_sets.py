"""Records beside other records and other people's data sets, mixed in one run by ms-swift's own `load_dataset`."""

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from data_sets import CHAT, chat, load, training_template, write, write_lending
from swift.dataset import DATASET_MAPPING, DatasetLoader, DatasetMeta, load_dataset, register_dataset

import swift_zoomin.register.swift_zoomin_register as register
from swift_zoomin.plugin.dataset import MixingLoader
from swift_zoomin.plugin.template import ZoomInTemplate
from swift_zoomin.records import RecordError


@pytest.fixture(autouse=True)
def template(processor: Any) -> ZoomInTemplate:
    return training_template(processor)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


MIXED: list[tuple[Any, Any, list[Any]]] = [
    (1, 0.5, [1.0, 0.5]),
    (0.5, 1, [0.5, 1.0]),
    ([1, 2], [0.5], [[1.0, 2.0], [0.5]]),
    ([], ["a"], [[], ["a"]]),
    ({"a": 1}, {"b": "x"}, [{"a": 1}, {"b": "x"}]),
    (None, "text", [None, "text"]),
    ("text", None, ["text", None]),
    (True, False, [True, False]),
]


@pytest.mark.parametrize("options", [{}, {"streaming": True}, {"interleave_prob": [0.5, 0.5]}], ids=str)
@pytest.mark.parametrize(("one", "other", "expected"), MIXED)
def test_fields_of_two_files_mix(folder: Path, one: Any, other: Any, expected: list[Any], options: Any) -> None:
    first = write(folder / "1", {"value": one, "only_here": "x"})
    second = write(folder / "2", {"value": other, "only_there": 3})
    rows = list(load(f"{first}:query1", f"{second}:query2", shuffle=False, **options))
    if "interleave_prob" in options:  # drawn at random, until one is at its end
        expected = expected[:1] if rows[0]["only_here"] else expected[1:]
    assert [row["value"] for row in rows] == expected


@pytest.mark.parametrize("options", [{}, {"streaming": True}, {"interleave_prob": [0.5, 0.5]}], ids=str)
def test_a_field_that_is_text_in_one_file_and_a_number_in_another_names_both(folder: Path, options: Any) -> None:
    first = write(folder / "1", {"score": 1})
    second = write(folder / "2", {"score": "high"})
    wanted = f"column score is a number in {first} and text in {second}; expected one kind, to mix them"
    with pytest.raises(RecordError) as raised:
        load(f"{first}:query1", f"{second}:query1", **options)
    assert str(raised.value) == wanted


@pytest.mark.parametrize("purpose", ["sft", "query1"])
@pytest.mark.parametrize("options", [{}, {"streaming": True}, {"interleave_prob": [0.5, 0.5]}], ids=str)
def test_chat_rows_of_other_people_mix_with_records_named_after_them(
    folder: Path, purpose: str, options: dict[str, Any]
) -> None:
    records = write_lending(folder / "1", score=0.5)
    mixed = list(load(str(chat(folder, score=3)), f"{records}:{purpose}", shuffle=False, **options))
    assert {row["score"] for row in mixed} <= {3.0, 0.5}
    if "interleave_prob" not in options:
        assert mixed[0]["messages"] == CHAT["messages"]
        assert len(mixed[-1]["images"]) == (2 if purpose == "sft" else 1)


def test_chat_rows_of_other_people_mix_with_records_named_before_them(folder: Path) -> None:
    records = write_lending(folder / "1", source="x")
    mixed = load(f"{records}:sft", str(chat(folder)), shuffle=False)
    assert mixed["source"][:] == ["x"] * 8 + [None]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Call it to register what a command with these data sets registers; afterwards all is as it was."""
    before = dict(DATASET_MAPPING)

    def name_in_command(*datasets: str) -> None:
        monkeypatch.setattr("sys.argv", ["cli/rlhf.py", "--rlhf_type", "grpo", "--dataset", *datasets])
        runpy.run_path(str(register.__file__))

    yield name_in_command
    DATASET_MAPPING.clear()
    for meta in before.values():
        register_dataset(meta)


WAYS: list[dict[str, Any]] = [
    {},
    {"streaming": True},
    {"interleave_prob": [0.5, 0.5]},
    {"streaming": True, "interleave_prob": [0.5, 0.5]},
]
OURS_AND_THEIRS = [
    (0.5, 3, [0.5, 3.0]),
    ({"camera": "x"}, {"stops": 1}, [{"camera": "x"}, {"stops": 1}]),
]


@pytest.mark.parametrize("options", WAYS, ids=str)
@pytest.mark.parametrize("named_last", ["ours", "theirs"])
@pytest.mark.parametrize(("ours", "theirs", "expected"), OURS_AND_THEIRS, ids=str)
def test_a_command_mixes_ours_and_theirs_in_either_order(
    folder: Path, command: Any, ours: Any, theirs: Any, expected: list[Any], named_last: str, options: Any
) -> None:
    named = [f"{write(folder / '1', {'score': ours})}:query1", str(chat(folder, score=theirs))]
    if named_last == "ours":
        named, expected = named[::-1], expected[::-1]
    command(*named)
    scores = [row["score"] for row in load(*named, **options)]
    if "interleave_prob" in options:  # drawn at random, until one is at its end
        assert scores in ([expected[0]], [expected[1]], expected, expected[::-1])
    else:
        assert scores == expected


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_a_clash_with_a_file_of_theirs_names_both_whichever_is_last(folder: Path, command: Any, options: Any) -> None:
    records, theirs = write(folder / "1", {"score": "high"}), chat(folder, score=3)
    command(f"{records}:query1", str(theirs))
    with pytest.raises(RecordError) as raised:
        load(f"{records}:query1", str(theirs), **options)
    wanted = f"column score is text in {records} and a number in {theirs}; expected one kind, to mix them"
    assert str(raised.value) == wanted


def test_a_file_of_theirs_is_split_and_sampled_as_ms_swift_does(folder: Path, command: Any) -> None:
    theirs = folder / "chat.jsonl"
    theirs.write_text("".join(json.dumps({**CHAT, "n": n}) + "\n" for n in range(20)))

    def parts() -> list[list[int]]:
        made = load_dataset([f"{theirs}#10"], split_dataset_ratio=0.2, remove_unused_columns=False, shuffle=True)
        return [part["n"][:] for part in made]

    stock = parts()
    command(f"{write(folder / '1', {})}:query1", f"{theirs}#10")
    assert parts() == stock


def test_what_ms_swift_knows_of_their_data_set_stays(folder: Path, command: Any) -> None:
    class TheirLoader(DatasetLoader):
        pass

    renamed = {"dataset_path": str(chat(folder)), "dataset_name": "chats", "tags": ["chat"]}
    register_dataset(DatasetMeta(**renamed))
    register_dataset(DatasetMeta(ms_dataset_id="they/own", dataset_name="own", loader=TheirLoader))
    command(f"{write(folder / '1', {})}:query1", "chats", "own", "hf::they/hub", str(folder))
    chats, own = DATASET_MAPPING["chats"], DATASET_MAPPING["own"]
    assert (chats.loader, chats.tags, chats.dataset_path) == (MixingLoader, ["chat"], str(folder / "chat.jsonl"))
    assert own.loader is TheirLoader
    made = [meta for meta in DATASET_MAPPING.values() if meta.loader is MixingLoader and meta is not chats]
    assert [(meta.hf_dataset_id, meta.dataset_path) for meta in made] == [("they/hub", None), (None, str(folder))]
    [row] = load(str(folder / "chat.jsonl"))
    assert row["messages"] == CHAT["messages"]
    register_dataset(DatasetMeta(hf_dataset_id="they/hub"))  # as a user's --custom_dataset_info, which comes later


def test_a_folder_of_theirs_is_read_as_ms_swift_reads_it(folder: Path, command: Any) -> None:
    records = write(folder / "1", {"score": 0.5})
    (folder / "hub").mkdir()
    chat(folder / "hub", score=3)
    command(f"{records}:query1", str(folder / "hub"))
    assert load(f"{records}:query1", str(folder / "hub"))["score"][:] == [0.5, 3.0]


def test_parts_of_their_data_set_that_differ_are_refused_as_ms_swift_refuses_them(folder: Path, command: Any) -> None:
    parts = {"a": "high", "b": 3}
    configs = "".join(f"- config_name: {name}\n  data_files: {name}.jsonl\n" for name in parts)
    (folder / "hub").mkdir()
    (folder / "hub/README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    for name, score in parts.items():
        chat(folder, score=score).rename(folder / "hub" / f"{name}.jsonl")
    named = f"{folder / 'hub'}:a/b"
    with pytest.raises(ValueError, match="features can't be aligned") as stock:
        load(named)
    command(f"{write(folder / '1', {})}:query1", named)
    with pytest.raises(ValueError, match="features can't be aligned") as ours:
        load(named)
    assert str(ours.value) == str(stock.value)
