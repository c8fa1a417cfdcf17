"""Records as ms-swift's own `load_dataset` gives them to a training, with the template that the training made."""

import json
import runpy
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from swift.dataset import DATASET_MAPPING, DatasetLoader, DatasetMeta, load_dataset, register_dataset
from swift.model import get_model_processor
from swift.template import get_template

import swift_zoomin.register.swift_zoomin_register as register
from swift_zoomin.plugin.dataset import MixingLoader, RecordsLoader
from swift_zoomin.plugin.lengths import most_tokens, row_tokens
from swift_zoomin.plugin.template import ZoomInTemplate
from swift_zoomin.records import RecordError
from swift_zoomin.replies import parse_reply
from swift_zoomin.rows import PURPOSES

CHAT = {"messages": [{"role": "user", "content": "Say hi."}, {"role": "assistant", "content": "Hi."}]}
WHOLE = [0, 0, 40, 20]
LABELS = ("real", "generated")


@pytest.fixture(scope="session")
def processor(model_dir: Path) -> Any:
    return get_model_processor(str(model_dir), load_model=False, model_type="qwen2_5_vl")[1]


@pytest.fixture(autouse=True)
def template(processor: Any) -> ZoomInTemplate:
    """A training's: ms-swift makes it before it loads data sets."""
    made = get_template(processor, template_type="zoomin")
    made.set_mode("train")
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def write(folder: Path, *rows: dict[str, Any], name: str = "records.jsonl") -> Path:
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (40, 20)).save(folder / "a.png")
    lines = [json.dumps({"image": "a.png", "label": "real", **row}) for row in rows]
    (folder / name).write_text("\n".join(lines))
    return folder / name


def write_lending(folder: Path, **fields: Any) -> Path:
    """Records that can lend each other the words of first replies: two images of each label."""
    record = {"explanation": "Sharp.", "boxes": [WHOLE], **fields}
    path = write(folder, *({**record, "image": f"{at}.png", "label": LABELS[at % 2]} for at in range(4)))
    for at in range(4):
        Image.new("RGB", (40, 20)).save(folder / f"{at}.png")
    return path


def chat(folder: Path, **fields: Any) -> Path:
    """Another person's data set: one text-only row."""
    (folder / "chat.jsonl").write_text(json.dumps({**CHAT, **fields}))
    return folder / "chat.jsonl"


def load(*datasets: str, **options: Any) -> Dataset:
    """As GRPO loads, with every column."""
    options = {"remove_unused_columns": False, "load_from_cache_file": False, **options}
    return load_dataset(list(datasets), **options)[0]


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

    def given(*datasets: str) -> None:
        monkeypatch.setattr("sys.argv", ["cli/rlhf.py", "--rlhf_type", "grpo", "--dataset", *datasets])
        runpy.run_path(str(register.__file__))

    yield given
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
    rows = [{"image": f"{at}.png", "label": label, "explanation": f"{label} {at}.", **fields} for at in range(count)]
    path = write(folder, *({"boxes": [WHOLE], **row} for row in rows))
    for at in range(count):
        Image.new("RGB", (40, 20)).save(folder / f"{at}.png")
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


def test_each_option_lends_among_its_own_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is validated on is not shown in training."""
    files = {option: write_lending(folder / option, explanation=option) for option in ("train", "val")}
    given = ["--dataset", f"{files['train']}:sft", "--val_dataset", f"{files['val']}:sft"]
    monkeypatch.setattr("sys.argv", ["cli/sft.py", *given])
    for option, path in files.items():
        for row in load(f"{path}:sft").select(range(8)):
            assert row["explanation"] == option
            assert f"<explanation>{option}</explanation>" in row["messages"][1]["content"]


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


# Splitting


def rows_of(paths: list[str], rows_each: int) -> Dataset:
    """What a loader hands to ms-swift: rows that name an image first."""
    names = [path for path in paths for _ in range(rows_each)]
    images = [[{"bytes": None, "path": f"zoomin:{name}?size=10x10"}] for name in names]
    return Dataset.from_dict({"images": images, "row": list(range(len(names)))})


def images_in(dataset: Any) -> set[str]:
    return {row["images"][0]["path"] for row in dataset}


PATHS = [f"/data/{number}.png" for number in range(200)]
RATIOS = st.sampled_from([0.01, 0.1, 0.5, 0.9])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(PATHS), min_size=2, unique=True), RATIOS)
def test_no_image_is_validated_and_trained_on_under_any_purpose(paths: list[str], ratio: float) -> None:
    try:
        train, held_out = RecordsLoader().post_process(rows_of(paths, 2), split_dataset_ratio=ratio)
    except RecordError:  # said in test_one_image_cannot_be_split
        return
    assert sorted(train["row"][:] + held_out["row"][:]) == list(range(2 * len(paths)))
    assert images_in(held_out)
    assert not images_in(held_out) & images_in(train)
    again = RecordsLoader().post_process(rows_of(paths, 1), split_dataset_ratio=ratio)
    assert [images_in(part) for part in again] == [images_in(train), images_in(held_out)]


@settings(deadline=None, max_examples=20)
@given(st.sets(st.sampled_from(PATHS), min_size=50))
def test_an_image_is_on_the_same_side_in_every_data_set(paths: set[str]) -> None:
    train, held_out = RecordsLoader().post_process(rows_of(PATHS, 2), split_dataset_ratio=0.5)
    some, some_held_out = RecordsLoader().post_process(rows_of(sorted(paths), 1), split_dataset_ratio=0.5)
    assert not images_in(held_out) & images_in(some)
    assert not images_in(some_held_out) & images_in(train)


def test_the_share_that_is_held_out_is_about_the_ratio() -> None:
    paths = [f"/data/{number}.png" for number in range(5000)]
    train, held_out = RecordsLoader().post_process(rows_of(paths, 2), split_dataset_ratio=0.1)
    assert len(held_out) == pytest.approx(1000, abs=3 * 2 * (5000 * 0.1 * 0.9) ** 0.5)
    assert len(train) + len(held_out) == 10000


def test_a_sample_is_split_too() -> None:
    paths = [f"/data/{number}.png" for number in range(100)]
    train, held_out = RecordsLoader().post_process(rows_of(paths, 2), split_dataset_ratio=0.1, dataset_sample=50)
    assert (len(train), len(held_out)) == (45, 5)
    assert not images_in(held_out) & images_in(train)


def test_a_sample_larger_than_the_data_repeats_rows_to_train_on_only() -> None:
    paths = [f"/data/{number}.png" for number in range(100)]
    train, held_out = RecordsLoader().post_process(rows_of(paths, 1), split_dataset_ratio=0.1, dataset_sample=1000)
    assert len(train) + len(held_out) == 1000
    assert len(held_out) <= 20
    assert not images_in(held_out) & images_in(train)


def test_one_image_cannot_be_split() -> None:
    with pytest.raises(RecordError, match=r"leaves no image to train on, of 1; give two records files"):
        RecordsLoader().post_process(rows_of(["/a.png"], 2), split_dataset_ratio=0.1)


def test_a_stream_is_split_as_the_file_is(folder: Path) -> None:
    paths = [f"/data/{number}.png" for number in range(20)]
    whole = RecordsLoader().post_process(rows_of(paths, 2), split_dataset_ratio=0.2)
    streamed = RecordsLoader(streaming=True).post_process(rows_of(paths, 2), split_dataset_ratio=0.2, streaming=True)
    assert [images_in(part) for part in streamed] == [images_in(part) for part in whole]


def test_a_stream_is_sampled_in_order_as_ms_swift_does() -> None:
    sampled, _ = RecordsLoader(streaming=True).post_process(rows_of(PATHS, 1), dataset_sample=3, streaming=True)
    assert [row["row"] for row in sampled] == [0, 1, 2]


# Lengths


@pytest.fixture
def long_rows(folder: Path) -> str:
    """Eight records: crops of three kinds of windows, none, words of many bytes, and words that look like marks."""
    for number in range(8):
        Image.new("RGB", (900, 300)).save(folder / f"{number}.png")
    boxes = [[], [[0, 0, 900, 300]], [[5, 5, 7, 7], [0, 0, 900, 3]], [[10, 10, 300, 200]] * 7]
    rows = [
        {
            "image": f"{2 * at + label_at}.png",
            "label": label,
            "explanation": "Kein Schärfeverlauf: 文字が溶ける <image> <|im_end|>. " * 3,
            "boxes": some,
        }
        for at, some in enumerate(boxes)
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
    [warning] = [record.getMessage() for record in caplog.records]
    too_long = sum(row_tokens(row, template) > shortest_second for row in dataset)
    assert 0 < too_long < 8
    assert f"{too_long} of 8 rows of query 2 are longer than --max_length {shortest_second}: {fate}" in warning


def test_a_run_that_is_no_training_has_no_limit(long_rows: str, template: ZoomInTemplate) -> None:
    template.max_length = 10
    template.set_mode("transformers")
    assert len(load(f"{long_rows}:sft")) == 16
