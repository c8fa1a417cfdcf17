"""Every published data set becomes records that pass the check and whose gold answers score full marks."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_data_sets import DATA_SETS, genimage_plain, genimage_unpacked, picture, real_fake_tree
from zoomin_command import zoomin_command

from swift_zoomin.convert.writing import Asked, drawing_order
from swift_zoomin.evaluation.metrics import evaluate
from swift_zoomin.predictions import read_predictions
from swift_zoomin.records import Record, json_line, read_records
from swift_zoomin.replies import GENERATED, REAL, VERDICTS, Reply, parse_reply, render_reply


@pytest.fixture
def zoomin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    return zoomin_command(monkeypatch, capsys)


def figures_of_gold_answers(records: list[Record], folder: Path) -> dict[str, Any]:
    """The figures of a detector that answers each record with its own annotation, through the text of a reply."""
    rows = []
    for record in records:
        gold = Reply(record.label, record.boxes_px or [], record.box_labels, record.explanation)
        said = parse_reply(render_reply(gold))
        row = {"image": record.image.path, "verdict": said.verdict, "initial_verdict": said.verdict}
        rows.append({**row, "explanation": said.explanation, "boxes": said.boxes_model, "box_labels": said.box_labels})
    (folder / "gold.jsonl").write_text("".join(map(json_line, rows)))
    figures = evaluate(records, read_predictions(folder / "gold.jsonl"))
    return {name: figure.value for name, figure in figures.items()}


@pytest.mark.slow
@pytest.mark.parametrize("copy", [[], ["--copy"]], ids=["referred to", "copied"])
@pytest.mark.parametrize("name", DATA_SETS)
def test_gold_answers_score_full_marks(zoomin, tmp_path: Path, name: str, copy: list[str]) -> None:
    kind, make, (real, generated) = DATA_SETS[name]
    status, out, err = zoomin("convert", kind, make(tmp_path / "data"), "--out", tmp_path / "records", *copy)
    assert (status, err) == (0, "")
    file = tmp_path / "records" / "records.jsonl"
    records = read_records(file)
    assert Counter(record.label for record in records) == Counter({REAL: real, GENERATED: generated})
    assert f"wrote {real + generated} records ({real} real, {generated} generated, " in out
    status, checked, err = zoomin("check", file)
    assert (status, err) == (0, "")
    assert f"{real + generated} records: {real} real, {generated} generated, " in checked
    figures = figures_of_gold_answers(records, tmp_path)
    assert (figures["accuracy"], figures["missing"], figures["no_verdict"]) == (1, 0, 0)
    has_boxes = any(record.boxes_px is not None for record in records)
    assert figures["iou"] == (1 if has_boxes else None)
    has_words = any(record.explanation for record in records)
    for figure in ("bleu1", "bleu2", "rouge_l"):
        assert figures[figure] == (pytest.approx(1) if has_words else None)


@pytest.mark.parametrize("name", ["synthscars", "coco"])
def test_a_set_of_one_label_says_that_accuracy_is_recall(zoomin, tmp_path: Path, name: str) -> None:
    kind, make, _ = DATA_SETS[name]
    _, out, _ = zoomin("convert", kind, make(tmp_path / "data"), "--out", tmp_path / "records")
    label = {"synthscars": GENERATED, "coco": REAL}[name]
    assert f"all {label}: accuracy is recall, and who always says {label} scores 1.0\n" in out


def test_a_sample_is_the_same_for_a_seed_and_of_the_size_asked_for(zoomin, tmp_path: Path) -> None:
    data = genimage_unpacked(tmp_path / "data")
    contents = []
    for number, seed in enumerate([1, 1, 2]):
        arguments = ["--out", tmp_path / str(number), "--sample", 5, "--seed", seed]
        assert zoomin("convert", "genimage", data, *arguments)[0] == 0
        contents.append((tmp_path / str(number) / "records.jsonl").read_text())
        assert contents[-1].count("\n") == 5
    assert contents[0] == contents[1]
    assert contents[1] != contents[2]


def test_a_sample_is_uniform_over_the_images(tmp_path: Path) -> None:
    """1,200 times 2 of 6: each is drawn 400 times on average, with a deviation of sqrt(1200 / 3 * 2 / 3) = 16.3."""
    drawn: Counter[int] = Counter()
    for seed in range(1200):
        drawn.update(drawing_order(6, Asked(tmp_path, sample=2, seed=seed))[:2])
    assert len(drawn) == 6
    assert all(abs(number - 400) < 4 * 16.3 for number in drawn.values())


def test_a_sample_is_filled_up_where_images_are_damaged(zoomin, tmp_path: Path) -> None:
    data = genimage_plain(tmp_path / "data")
    damaged = sorted(data.rglob("*.png"))[:3]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:60])
    status, out, _ = zoomin("convert", "genimage", data, "--out", tmp_path / "out", "--sample", 9)
    assert (status, len(read_records(tmp_path / "out" / "records.jsonl"))) == (0, 9)
    status, out, _ = zoomin("convert", "genimage", data, "--out", tmp_path / "all", "--sample", 10)
    assert (status, out.splitlines()[1]) == (0, "10 were asked for; there are no more")
    names = ", ".join(str(path.relative_to(data)) for path in damaged)
    assert sorted(out.splitlines()[2].split("(")[1].rstrip(")").split(", ")) == sorted(names.split(", "))
    assert out.splitlines()[2].startswith("left out as unreadable: 3 (")


def test_records_stand_in_the_order_of_the_data_set_whatever_is_drawn(zoomin, tmp_path: Path) -> None:
    data = genimage_plain(tmp_path / "data")
    zoomin("convert", "genimage", data, "--out", tmp_path / "out", "--sample", 8)
    originals = [record.extra["original"] for record in read_records(tmp_path / "out" / "records.jsonl")]
    assert originals == sorted(originals)


def test_a_real_image_that_every_generators_folder_links_to_counts_once(zoomin, tmp_path: Path) -> None:
    """Else real images would be drawn more often than generated ones."""
    data = tmp_path / "data"
    picture(data / "BigGAN" / "val" / "nature" / "ILSVRC2012_val_00000293.JPEG")
    for generator in ("BigGAN", "ADM", "VQDM"):
        picture(data / generator / "val" / "ai" / f"{generator}_1.png")
    for generator in ("ADM", "VQDM"):
        (data / generator / "val" / "nature").symlink_to(data / "BigGAN" / "val" / "nature")
    status, out, _ = zoomin("convert", "genimage", data, "--out", tmp_path / "out")
    assert (status, "wrote 4 records (1 real, 3 generated, 0 boxes)" in out) == (0, True)
    assert "left out as named again: 2 (" in out


def test_copies_of_one_name_get_names_of_their_own_and_keep_their_bytes(zoomin, tmp_path: Path) -> None:
    data = real_fake_tree(tmp_path / "data")
    picture(data / "deepfake" / "fake" / "a b$ü.PNG")
    picture(data / "deepfake" / "fake" / "IMAGE.png")
    picture(data / "deepfake" / "real" / "image.png")
    picture(data / "deepfake" / "fake" / "photo.png")
    picture(data / "deepfake" / "real" / "PHOTO.png")
    assert zoomin("convert", "folders", data, "--out", tmp_path / "out", "--copy")[0] == 0
    records = read_records(tmp_path / "out" / "records.jsonl")
    assert len({record.name.lower() for record in records}) == len(records) == 11
    assert {Path(record.name).parent for record in records} == {Path("images")}
    assert "images/a_b__.png" in [record.name for record in records]
    for record in records:
        assert Path(record.image.path).read_bytes() == (data / record.extra["original"]).read_bytes()


def test_images_are_referred_to_through_an_output_folder_that_is_a_link(zoomin, tmp_path: Path) -> None:
    data = real_fake_tree(tmp_path / "data")
    (tmp_path / "deep" / "er" / "out").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "er" / "out")
    assert zoomin("convert", "folders", data, "--out", tmp_path / "link")[0] == 0
    assert zoomin("check", tmp_path / "link" / "records.jsonl")[0] == 0
    assert zoomin("check", tmp_path / "deep" / "er" / "out" / "records.jsonl")[0] == 0


def test_a_data_set_is_not_overwritten(zoomin, tmp_path: Path) -> None:
    data, out = real_fake_tree(tmp_path / "data"), tmp_path / "out"
    assert zoomin("convert", "folders", data, "--out", out, "--copy")[0] == 0
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    status, _, err = zoomin("convert", "folders", data, "--out", out)
    assert (status, "holds records or their images already; choose another folder" in err) == (1, True)
    (out / "records.jsonl").unlink()
    status, _, err = zoomin("convert", "folders", data, "--out", out, "--copy")
    assert (status, "empty this one where an earlier convert was stopped" in err) == (1, True)
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == {
        path: content for path, content in before.items() if path.name != "records.jsonl"
    }


def test_converted_records_become_squares_and_still_tell_where_they_come_from(zoomin, tmp_path: Path) -> None:
    data = genimage_plain(tmp_path / "data")
    assert zoomin("convert", "genimage", data, "--out", tmp_path / "out")[0] == 0
    assert zoomin("convert", "square", tmp_path / "out" / "records.jsonl", tmp_path / "square", "--side-px", 16)[0] == 0
    before = [record.extra for record in read_records(tmp_path / "out" / "records.jsonl")]
    assert [record.extra for record in read_records(tmp_path / "square" / "records.jsonl")] == before
    assert {extra["source"] for extra in before} == {"Stable Diffusion V1.5", "BigGAN", "ADM"}
    assert {record.label for record in read_records(tmp_path / "square" / "records.jsonl")} == set(VERDICTS)
