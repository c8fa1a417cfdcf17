"""Nothing of a row but its pixels tells the label; where records do, training and `zoomin check` say so beforehand.

A classifier of our own reads everything that a row shows before its last answer, and guesses the label of rows that it
has not seen. It is not the one that the package measures with.
"""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import LIMITS, run_example
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from swift_zoomin import rows as rows_module
from swift_zoomin.cli import main
from swift_zoomin.images import ImageRef
from swift_zoomin.records import Record, RecordError, read_records
from swift_zoomin.replies import VERDICTS, Reply, parse_reply
from swift_zoomin.rows import PURPOSES, records_to_rows
from swift_zoomin.shortcuts import LABEL_WORDS, find_shortcuts

NOUNS = ("sign", "hand", "sky", "face", "cup", "tree", "shoe", "lamp")
SAID = {"real": ("sharp", "even", "plain"), "generated": ("melted", "doubled", "waxy")}
Change = Callable[[random.Random, str], dict[str, Any]]


def record(name: str, label: str, rng: random.Random, **fields: Any) -> Record:
    """A record whose regions know nothing of its label; their words do, as in real annotations."""
    words = [f"{rng.choice(SAID[label])} {rng.choice(NOUNS)}" for _ in range(rng.randint(1, 4))]
    boxes = []
    for _ in words:
        left, top = rng.randint(0, 300), rng.randint(0, 200)
        boxes.append([left, top, left + rng.randint(20, 100), top + rng.randint(20, 100)])
    size = rng.choice([(400, 300), (448, 448), (600, 320)])
    told = {"explanation": f"There is a {'; a '.join(words)}.", "boxes": boxes, "box_labels": words, "size": size}
    told |= fields
    image = ImageRef(f"/{name}", told.pop("size"))
    return Record(name, image, label, boxes_px=told.pop("boxes"), **told)


def make(name: str, real: int, generated: int, change: Change = lambda rng, label: {}) -> list[Record]:
    """The records of one file."""
    rng = random.Random(name)
    labels = ["real"] * real + ["generated"] * generated
    rng.shuffle(labels)
    return [record(f"{name}/{index}.png", label, rng, **change(rng, label)) for index, label in enumerate(labels)]


FILES = {
    "one file": [make("all", 200, 200)],
    "one file, skewed": [make("all", 300, 100)],
    "a file for each class": [make("real", 200, 0), make("generated", 0, 200)],
    "three files of unequal mixture": [make("a", 140, 20), make("b", 80, 80), make("c", 20, 140)],
}


def rows_of(files: list[list[Record]], purpose: str) -> list[dict[str, Any]]:
    """What a run trains on, one file after the other."""
    together = [each for file in files for each in file]
    return [row for file in files for row in records_to_rows(file, purpose, LIMITS, lenders=together)]


def shown(row: dict[str, Any]) -> tuple[str, list[float]]:
    """Everything of a row that comes before its last answer, as text and as numbers; no pixels."""
    last = row["messages"][-1]
    before = row["messages"][:-1] if last["role"] == "assistant" else row["messages"]
    text = "\n".join(message["content"] for message in before)
    replies = [message["content"] for message in before if message["role"] == "assistant"]
    first = parse_reply(replies[0]) if replies else None
    numbers = [len(text), len(before), len(row["images"])]
    whole, *crops = (ImageRef.parse(image["path"]) for image in row["images"])
    numbers += [*whole.size_model]
    windows = [crop.window for crop in crops]
    sides = [window[2] - window[0] for window in windows] + [window[3] - window[1] for window in windows]
    numbers += [sum(sides), max(sides, default=0), min(sides, default=0)]
    numbers += [float(np.mean([window[0] for window in windows] or [0]))]
    if first:
        numbers += [
            VERDICTS.index(first.verdict),
            len(first.explanation),
            len(first.boxes_model),
            len(first.box_labels),
        ]
        numbers += [sum(map(len, first.box_labels)), bool(first.explanation), any(first.box_labels)]
    return text, numbers


def guessed_right(rows: list[dict[str, Any]]) -> float:
    """The share of labels guessed right, mean of both classes, from all that rows show; on rows not seen before."""
    texts, numbers = zip(*map(shown, rows), strict=True)
    words = CountVectorizer(token_pattern=r"\w+", max_features=100).fit_transform(texts).toarray()
    features = np.hstack([words, np.array(numbers)])
    labels = [row["label"] for row in rows]
    forest = RandomForestClassifier(30, min_samples_leaf=3, class_weight="balanced", random_state=0, n_jobs=1)
    folds = StratifiedKFold(min(3, *(labels.count(label) for label in VERDICTS)), shuffle=True, random_state=0)
    return float(balanced_accuracy_score(labels, cross_val_predict(forest, features, labels, cv=folds)))


def by_chance(labels: list[str]) -> float:
    """The share that guessing reaches once in ten thousand times."""
    spread = sum(0.25 / labels.count(label) for label in VERDICTS) ** 0.5 / 2
    return 0.5 + 3.7 * spread


def last_query(rows: list[dict[str, Any]], purpose: str) -> list[dict[str, Any]]:
    """The rows of one kind: of sft, those of query 2."""
    return rows[1::2] if purpose == "sft" else rows


@pytest.mark.slow
@pytest.mark.parametrize("files", FILES.values(), ids=FILES)
@pytest.mark.parametrize("purpose", [purpose for purpose in PURPOSES if purpose != "sft_joint"])
def test_a_row_does_not_tell_its_label(files: list[list[Record]], purpose: str) -> None:
    rows = last_query(rows_of(files, purpose), purpose)
    assert guessed_right(rows) <= by_chance([row["label"] for row in rows])


def test_the_plain_form_tells_it_and_is_kept_for_comparison() -> None:
    assert guessed_right(rows_of(FILES["one file"], "sft_joint")) > 0.95


def test_the_classifier_finds_words_that_only_right_verdicts_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the rows did where each class had a file of its own."""
    drawn_reply = rows_module.drawn_reply

    def right_ones_alone(record: Record, donors: rows_module.Donors) -> Reply:
        drawn = drawn_reply(record, donors)
        if drawn.verdict == record.label:
            return drawn
        return replace(drawn, explanation="", box_labels=[""] * len(drawn.boxes_model))

    monkeypatch.setattr(rows_module, "drawn_reply", right_ones_alone)
    assert guessed_right(rows_of(FILES["one file"], "sft")[1::2]) > 0.95


@pytest.mark.slow
def test_the_classifier_finds_words_that_come_from_the_records_own_file() -> None:
    files = FILES["three files of unequal mixture"]
    marked = [[replace(each, explanation=f"{each.name[0]}-file.") for each in file] for file in files]
    apart = [row for file in marked for row in records_to_rows(file, "sft", LIMITS)]
    assert guessed_right(apart[1::2]) > 0.7
    assert guessed_right(rows_of(marked, "sft")[1::2]) <= by_chance([row["label"] for row in apart[1::2]])


def test_every_drawn_reply_has_the_words_of_another_image_with_its_verdict() -> None:
    """Also where a class has two images, one of them twice."""
    [file] = [make("all", 40, 2)]
    again = next(each for each in file if each.label == "generated")
    file.append(replace(again, explanation="The same image again."))
    by_words = {each.explanation: each for each in file}
    for own, row in zip(file, records_to_rows(file, "sft", LIMITS)[1::2], strict=True):
        reply = parse_reply(row["messages"][1]["content"])
        lender = by_words[reply.explanation]
        assert lender.label == reply.verdict
        assert lender.image.path != own.image.path
        assert set(reply.box_labels) <= set(lender.box_labels)
        assert all(reply.box_labels)


@pytest.mark.parametrize(
    ("real", "generated", "found"), [(4, 1, "4 real and 1 generated"), (0, 4, "0 real and 4 generated")]
)
def test_a_class_that_has_nothing_to_lend_is_refused(real: int, generated: int, found: str) -> None:
    with pytest.raises(
        RecordError, match=rf"^a\.jsonl: sft lends .* needs two images of each label .*; found {found} "
    ):
        records_to_rows(make("a", real, generated), "sft", LIMITS, "a.jsonl")
    assert records_to_rows(make("a", real, generated), "query1", LIMITS)


def test_an_image_by_another_name_is_the_same_image(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "link").symlink_to("images")
    file = [replace(each, image=replace(each.image, path=f"{tmp_path}/images/{each.name}")) for each in make("a", 4, 1)]
    [generated] = [each for each in file if each.label == "generated"]
    for folder in ("images/../images", "link"):
        again = replace(generated, image=replace(generated.image, path=f"{tmp_path}/{folder}/{generated.name}"))
        with pytest.raises(RecordError, match="found 4 real and 1 generated"):
            records_to_rows([*file, again], "sft", LIMITS)


def test_two_records_of_one_image_are_one_image() -> None:
    file = [*make("a", 4, 1), *make("a", 4, 1)]
    with pytest.raises(RecordError, match="found 4 real and 1 generated"):
        records_to_rows(file, "sft", LIMITS)


def fewer_regions(rng: random.Random, label: str) -> dict[str, Any]:
    return {"boxes": [], "box_labels": []} if label == "real" else {}


def small_regions(rng: random.Random, label: str) -> dict[str, Any]:
    side = 60 if label == "generated" else 90
    left, top = rng.randint(0, 300), rng.randint(0, 200)
    return {"boxes": [[left, top, left + side, top + side]], "box_labels": ["hand"]}


def regions_to_the_left(rng: random.Random, label: str) -> dict[str, Any]:
    left = rng.randint(0, 160) if label == "generated" else rng.randint(140, 300)
    return {"boxes": [[left, 0, left + 50, 50]], "box_labels": ["hand"]}


def sorted_regions(rng: random.Random, label: str) -> dict[str, Any]:
    lefts = sorted(rng.sample(range(300), 3), reverse=label == "real")
    return {"boxes": [[left, 0, left + 50, 50] for left in lefts], "box_labels": ["hand"] * 3}


def other_sizes(rng: random.Random, label: str) -> dict[str, Any]:
    return {"size": (500, 400) if label == "generated" else (448, 448), "boxes": [], "box_labels": []}


def plain_words(rng: random.Random, label: str) -> dict[str, Any]:
    return {"box_labels": [rng.choice(NOUNS)], "boxes": [[0, 0, 50, 50]]}


SKEWED = {
    "the number of regions": fewer_regions,
    "the size of regions": small_regions,
    "the place of regions": regions_to_the_left,
    "the order of regions": sorted_regions,
    "the size of the image": other_sizes,
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "change"), SKEWED.items(), ids=SKEWED)
@pytest.mark.parametrize("counts", [(100, 100), (150, 40)], ids=str)
def test_a_skewed_set_is_named_with_its_figure(name: str, change: Change, counts: tuple[int, int]) -> None:
    found = find_shortcuts(make(name, *counts, change), without=(LABEL_WORDS,))
    assert [shortcut.name for shortcut in found] == [name]
    assert found[0].right >= 0.85
    if change is not regions_to_the_left:
        assert found[0].right == 1.0
    assert f"{name} gives labels away: {found[0].right:.2f} guessed right, 0.50 by chance" in str(found[0])


def test_the_words_of_region_labels_are_named() -> None:
    [found] = find_shortcuts(make("words", 100, 100))
    assert (found.name, found.right > 0.95) == (LABEL_WORDS, True)
    assert find_shortcuts(make("words", 100, 100, plain_words)) == []
    assert find_shortcuts(make("words", 100, 100), without=(LABEL_WORDS,)) == []


def test_the_clearest_shortcut_is_named_first() -> None:
    def change(rng: random.Random, label: str) -> dict[str, Any]:
        count = 2 if (label == "real") == (rng.random() < 0.75) else 1  # right in three of four
        boxes = [[0, 0, 50, 50]] * count
        return {"size": (500, 400) if label == "real" else (448, 448), "boxes": boxes, "box_labels": ["hand"] * count}

    found = find_shortcuts(make("two", 100, 100, change), without=(LABEL_WORDS,))
    shares = [shortcut.right for shortcut in found]
    assert shares == sorted(shares, reverse=True)
    assert found[0].right == 1.0
    assert 0.65 < next(each.right for each in found if each.name == "the number of regions") < 0.85


@pytest.mark.sandbox
def test_rows_of_the_benchmark_do_not_tell_their_labels(tmp_path: Path) -> None:
    run_example("make_benchmark.py", tmp_path, "--scenes", "full", "--train", 400, "--test", 0)
    records = read_records(tmp_path / "train/records.jsonl")
    assert find_shortcuts(records, without=(LABEL_WORDS,)) == []
    for purpose in PURPOSES:
        rows = last_query(rows_of([records], purpose), purpose)
        limit = by_chance([row["label"] for row in rows])
        assert (guessed_right(rows) > limit) == (purpose == "sft_joint"), purpose


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_sets_that_are_alike_are_not_named(seed: int) -> None:
    assert find_shortcuts(make(f"alike {seed}", 150, 60, plain_words)) == []


@pytest.mark.parametrize(("count", "is_found"), [(1, False), (6, False), (7, True), (20, True)])
def test_few_records_may_be_chance(count: int, is_found: bool) -> None:
    found = find_shortcuts(make("few", count, count, other_sizes), without=(LABEL_WORDS,))
    assert [shortcut.name for shortcut in found] == ["the size of the image"] * is_found
    assert find_shortcuts(make("few", 0, count, other_sizes)) == []


def test_the_size_that_counts_is_the_one_the_model_sees() -> None:
    """Both are shown as 112 x 112."""

    def sizes(rng: random.Random, label: str) -> dict[str, Any]:
        return {"size": (448, 448) if label == "real" else (896, 896), "boxes": [], "box_labels": []}

    records = make("sizes", 20, 20, sizes)
    assert [found.name for found in find_shortcuts(records)] == ["the size of the image"]
    assert find_shortcuts([replace(each, image=each.image.under(LIMITS)) for each in records]) == []


def write(folder: Path, name: str, label: str, boxes: list[list[int]], count: int = 10) -> Path:
    folder.mkdir(exist_ok=True)
    lines = []
    first = len(list(folder.glob("*.png")))
    for number in range(first, first + count):  # names that do not tell the label
        noise = random.Random(number).randbytes(2400)
        Image.frombytes("RGB", (40, 20), noise).save(folder / f"{number:02}.png")
        row = {"image": f"{number:02}.png", "label": label, "explanation": f"Seen in {number}.", "boxes": boxes}
        lines.append(json.dumps(row) + "\n")
    (folder / f"{name}.jsonl").write_text("".join(lines))
    return folder / f"{name}.jsonl"


def test_check_takes_the_files_of_a_run_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    real = write(tmp_path, "real", "real", [])
    generated = write(tmp_path, "generated", "generated", [[0, 0, 5, 5], [5, 5, 9, 9]])
    monkeypatch.setattr("sys.argv", ["zoomin", "check", str(real), str(generated)])
    assert main() == 0
    assert capsys.readouterr().out == (
        "20 records: 10 real, 10 generated, 20 boxes; no fault, 1 warning\n"
        "boxes: 50.0% of records have one, 1.00 a record (the paper: 99.5%, 3.24)\n"
        "files: 10 real and 10 generated images are too few to tell whether they give labels away (50 of each are "
        "enough)\n"
        "warning: the number of regions gives labels away: 1.00 guessed right, 0.50 by chance (regions, on average: "
        "real 0.00, generated 2.00); mark regions on both classes alike, as the paper does\n"
    )
    monkeypatch.setattr("sys.argv", ["zoomin", "check", str(real)])
    assert main() == 0
    assert capsys.readouterr().out == (
        "10 records: 10 real, 0 generated, 0 boxes; no fault\n"
        "boxes: 0.0% of records have one, 0.00 a record (the paper: 99.5%, 3.24)\n"
        "files: all images are real, so there are no labels to give away\n"
    )


def test_check_names_the_faults_of_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text('{"image": "x.png", "label": "fake"}\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["zoomin", "check", "a.jsonl", "b.jsonl"])
    assert main() == 1
    said = capsys.readouterr().err
    assert 'a.jsonl:1: label "fake"; expected "real" or "generated"\n' in said
    assert 'b.jsonl:1: label "fake"; expected "real" or "generated"\n' in said
