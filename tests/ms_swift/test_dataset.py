"""Records as ms-swift's own `load_dataset` gives them to a training, with the template that the training made."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from data_sets import LABELS, WHOLE, load, training_template, write, write_lending
from PIL import Image

from swift_zoomin.plugin.template import ZoomInTemplate
from swift_zoomin.records import RecordError
from swift_zoomin.replies import parse_reply
from swift_zoomin.shortcuts import LABEL_WORDS


@pytest.fixture(autouse=True)
def template(processor: Any) -> ZoomInTemplate:
    return training_template(processor)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


# Columns


def test_a_field_that_only_some_records_have_is_a_column_of_all(folder: Path) -> None:
    path = write(folder, {}, {"source": "gpt-image-1"}, {"n": 1, "boxes": [[0, 0, 5, 5]]}, {"n": 2.5, "tags": ["a"]})
    dataset = load(f"{path}:query1")
    assert dataset["source"][:] == [None, "gpt-image-1", None, None]
    assert dataset["n"][:] == [None, None, 1.0, 2.5]
    assert dataset["tags"][:] == [None, None, None, ["a"]]
    assert dataset["boxes"][:] == [None, None, [[0.0, 0.0, 5.0, 5.0]], None]


def test_a_field_without_a_common_type_is_named(folder: Path) -> None:
    path = write(folder, {"tags": ["a"]}, {"tags": [1]})
    with pytest.raises(RecordError, match=r"records\.jsonl: field tags: .*; expected values of one type"):
        load(f"{path}:query1")


def test_objects_stay_as_they_are_whatever_their_keys(folder: Path) -> None:
    values = [{"camera": "x", "stops": 1}, {"stops": [1.5, "f"]}, None]
    path = write(folder, *({"meta": value, "all": [value] if value else []} for value in values))
    dataset = load(f"{path}:query1")
    assert dataset["meta"][:] == values
    assert dataset["all"][:] == [[values[0]], [values[1]], []]


@pytest.mark.parametrize("depth", [3, 60, 300])
def test_lists_in_lists_stay_as_they_are(folder: Path, depth: int) -> None:
    nested: Any = "x"
    for _ in range(depth):
        nested = [nested]
    [row] = load(f"{write(folder, {'deep': nested})}:query1")
    assert row["deep"] == nested


def test_fields_named_like_columns_of_ms_swift_are_kept_and_train(folder: Path, template: ZoomInTemplate) -> None:
    """As they are, `objects` fails as "increase max_length", `tools` changes the system prompt, and so on."""
    fields = {"objects": ["car"], "tools": "x", "videos": ["v.mp4"], "channel": 2, "rejected_response": "r"}
    rows = load(f"{write_lending(folder / '1', **fields, dataset='coco')}:sft", shuffle=False)
    assert {name: rows[0][f"zoomin_{name}"] for name in fields} == fields
    assert rows[0]["zoomin_dataset"] == "coco"
    plain = load(f"{write_lending(folder / '1')}:sft", shuffle=False)
    for row, expected in zip(rows, plain, strict=True):
        assert template.encode(row)["input_ids"] == template.encode(expected)["input_ids"]


# What would be learned by mistake


def of_one_class(folder: Path, label: str, count: int = 8, **fields: Any) -> str:
    """A records file with images of one label, each with an explanation of its own."""
    rows = [
        {"image": f"{index}.png", "label": label, "explanation": f"{label} {index}.", **fields}
        for index in range(count)
    ]
    path = write(folder, *({"boxes": [WHOLE], **row} for row in rows))
    for index in range(count):
        Image.new("RGB", (40, 20)).save(folder / f"{index}.png")
    return str(path)


def test_words_are_lent_over_all_files_of_a_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, generated = (of_one_class(folder / label, label) for label in LABELS)
    run = [f"{real}:sft", f"{generated}:sft"]
    with pytest.raises(RecordError, match=r"sft lends .*; found 8 real and 0 generated \(name the files of both"):
        load(*run)  # without a command line one file is known at a time
    monkeypatch.setattr("sys.argv", ["cli/sft.py", "--dataset", *run])
    rows = load(*run, shuffle=False)
    for row in rows.select(range(1, 32, 2)):
        reply = parse_reply(row["messages"][1]["content"])
        assert reply.explanation.startswith(f"{reply.verdict} ")


def test_what_is_validated_on_lends_nothing_to_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {option: write_lending(folder / option, explanation=option) for option in ("train", "val")}
    arguments = ["--dataset", f"{files['train']}:sft", "--val_dataset", f"{files['val']}:sft"]
    monkeypatch.setattr("sys.argv", ["cli/sft.py", *arguments])
    lent: dict[str, set[str]] = {"train": set(), "val": set()}
    for option, path in files.items():
        for row in load(f"{path}:sft", shuffle=False).select(range(1, 8, 2)):
            lent[option].add(parse_reply(row["messages"][1]["content"]).explanation)
    assert lent["train"] == {"train"}
    assert lent["val"] <= {"train", "val"}


def test_a_small_file_to_validate_on_borrows_from_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, val = write_lending(folder / "train"), of_one_class(folder / "val", "real", 1)
    monkeypatch.setattr("sys.argv", ["cli/sft.py", "--dataset", f"{train}:sft", "--val_dataset", f"{val}:sft"])
    assert len(load(f"{val}:sft")) == 2


def test_a_file_that_no_command_names_borrows_from_itself_and_that_is_said(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_lending(folder / "1")
    with caplog.at_level("WARNING", "swift"):
        load(f"{path}:sft")
        load(f"{path}:query1")
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"swift_zoomin: {path}: no command line names this file, so its first replies borrow words ")


@pytest.mark.parametrize(("purpose", "is_said"), [("sft", False), ("ground", False), ("sft_joint", True)])
def test_label_words_are_named_where_a_second_look_is_taught_to_repeat_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, purpose: str, is_said: bool
) -> None:
    words = {"real": "sharp hand", "generated": "melted hand"}
    run = [f"{of_one_class(folder / label, label, 9, box_labels=[words[label]])}:{purpose}" for label in LABELS]
    monkeypatch.setattr("sys.argv", ["cli/sft.py", "--dataset", *run])
    with caplog.at_level("WARNING", "swift"):
        load(*run)
    assert [LABEL_WORDS in record.getMessage() for record in caplog.records] == [True] * is_said


@pytest.mark.parametrize("purpose", ["verdict", "explain"])
def test_of_rows_that_show_no_region_no_region_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, purpose: str
) -> None:
    real, generated = of_one_class(folder / "real", "real", boxes=[]), of_one_class(folder / "generated", "generated")
    run = [f"{real}:{purpose}", f"{generated}:{purpose}"]
    monkeypatch.setattr("sys.argv", ["cli/sft.py", "--dataset", *run])
    with caplog.at_level("WARNING", "swift"):
        load(*run)
    assert caplog.records == []


def test_a_missing_file_of_a_run_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = [f"{of_one_class(folder / 'real', 'real')}:sft", f"{folder}/gone.jsonl:sft"]
    monkeypatch.setattr("sys.argv", ["cli/sft.py", "--dataset", *run])
    with pytest.raises(RecordError, match=r"^.*/gone\.jsonl: no such records file$"):
        load(run[0])


@pytest.mark.parametrize("purpose", ["sft", "query2", "ground"])
def test_regions_that_only_one_class_has_are_named_once_over_all_files_of_a_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, purpose: str
) -> None:
    real = of_one_class(folder / "real", "real", boxes=[])
    generated = of_one_class(folder / "generated", "generated")
    run = [f"{real}:{purpose}", f"{generated}:{purpose}"]
    script = ["cli/sft.py"] if purpose != "query2" else ["cli/rlhf.py", "--rlhf_type", "grpo"]
    monkeypatch.setattr("sys.argv", [*script, "--dataset", *run])
    with caplog.at_level("WARNING", "swift"):
        load(*run)
    assert [record.getMessage() for record in caplog.records] == [
        "swift_zoomin: the number of regions gives labels away: 1.00 guessed right, 0.50 by chance (regions, on "
        "average: real 0.00, generated 1.00); mark regions on both classes alike, as the paper does"
    ]


@pytest.mark.parametrize(("rank", "is_found"), [(None, True), ("0", True), ("1", False)])
def test_one_process_a_machine_decodes_the_images(
    folder: Path, monkeypatch: pytest.MonkeyPatch, rank: str | None, is_found: bool
) -> None:
    """Only decoding finds an image that ends too soon. The others wait for the one, and need not find it again."""
    path = write(folder, {})
    content = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(content[: content.index(b"IDAT") + 6])
    for name in ("LOCAL_RANK", "RANK"):
        monkeypatch.delenv(name, raising=False)
        if rank is not None:
            monkeypatch.setenv(name, rank)
    with pytest.raises(RecordError, match=r"records\.jsonl:1: image .*a\.png") if is_found else nullcontext():
        load(f"{path}:query1")
