"""The fairness gate: what files give away is named, and said in one line; what they do not is not."""

import io
import json
import math
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checked_sets import LABELS, Save, data_set, jpeg, png, told
from hypothesis import given, settings
from hypothesis import strategies as st
from made_images import encoded
from PIL import Image, JpegImagePlugin, PngImagePlugin
from statsmodels.stats.proportion import proportion_confint
from zoomin_command import zoomin_command

from swift_zoomin.checking import gate
from swift_zoomin.checking.command import survey
from swift_zoomin.checking.file_traces import PROPERTIES, Traces, jpeg_quality, traces_of
from swift_zoomin.checking.sample import MOST, Sample
from swift_zoomin.images import ImageRef
from swift_zoomin.records import Record, RecordError, write_records

zoomin = pytest.fixture(zoomin_command)


def names_of(warnings: list[str]) -> list[str]:
    return [line.partition(" of files gives")[0].removeprefix("the ") for line in warnings]


def test_files_of_one_kind_give_nothing_away(tmp_path: Path) -> None:
    files, warnings = told(data_set(tmp_path))
    assert files.startswith("files: 0.50 of the labels are guessed right (0.4")
    assert files.endswith("0.50 by chance): they give no label away")
    assert warnings == []


def test_generated_images_saved_as_jpeg_are_named_by_their_codec(tmp_path: Path) -> None:
    files, warnings = told(data_set(tmp_path, generated=jpeg))
    assert files.startswith("files: 1.00 of the labels are guessed right from codec, metadata, name (")
    assert names_of(warnings) == ["codec", "metadata", "name"]  # JFIF's head, and .jpg
    assert "; JPEG: real 0%, generated 100%; " in warnings[0] or "; PNG: real 100%, generated 0%; " in warnings[0]
    assert "zoomin convert square saves all images alike" in warnings[0]


def test_sizes_are_named(tmp_path: Path) -> None:
    def wide(width: int) -> Save:
        return lambda image, path: png(image.resize((width, 48)), path)

    files, warnings = told(data_set(tmp_path, wide(100), wide(102)))
    assert "guessed right from size, aspect ratio (" in files
    assert "100x48: real 100%, generated 0%" in warnings[0]


def test_a_size_among_many_is_found_without_a_threshold_between_the_classes(tmp_path: Path) -> None:
    """Real images are narrower or wider than generated ones: no linear function of the width tells them apart."""

    def any_width(image: Image.Image, path: Path) -> str:
        other = random.Random(path.name).choice([40, 50, 60, 68, 80, 90])
        return png(image.resize((other, 48)), path)

    _, warnings = told(data_set(tmp_path, real=any_width))
    assert "size" in names_of(warnings)


def with_exif(image: Image.Image, path: Path) -> str:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    return png(image, path, exif=exif)


def test_exif_data_of_one_class_is_named(tmp_path: Path) -> None:
    files, warnings = told(data_set(tmp_path, real=with_exif))
    assert "guessed right from metadata (" in files
    [line] = warnings
    assert "the metadata of files gives labels away: 1.00 guessed right" in line
    assert "EXIF: real 100%, generated 0%" in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("colour mode", lambda image, path: png(image.convert("L"), path)),
        ("metadata", lambda image, path: png(image, path, icc_profile=b"x" * 200)),
        ("metadata", lambda image, path: png(image, path, pnginfo=some_text())),
        ("metadata", lambda image, path: png(image, path, dpi=(72, 72))),
        ("name", lambda image, path: png(image, path.with_name(f"ai_{path.name}"))),
        ("name", lambda image, path: png(image, path.with_name(f"0{path.name}"))),
    ],
    ids=["grey", "profile", "text", "resolution", "word", "digits"],
)
def test_what_only_generated_images_have_is_named(name: str, save: Save, tmp_path: Path) -> None:
    _, warnings = told(data_set(tmp_path, generated=save))
    assert names_of(warnings) == [name]


def some_text() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a cat, 30 steps")
    return info


def test_the_quality_of_jpeg_files_is_named(tmp_path: Path) -> None:
    def at(quality: int) -> Save:
        def save(image: Image.Image, path: Path) -> str:
            image.save(path.with_suffix(".jpg"), quality=quality)
            return f"{path.name}.jpg"

        return save

    _, warnings = told(data_set(tmp_path, at(75), at(95)))
    assert names_of(warnings) == ["quantisation"]
    assert "quality 75: real 100%, generated 0%" in warnings[0]


def test_folders_that_tell_the_label_are_said_and_refuse_nothing(tmp_path: Path) -> None:
    path = data_set(tmp_path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        folder = "0_real" if row["label"] == "real" else "1_fake"
        (tmp_path / folder).mkdir(exist_ok=True)
        name = Path(row["image"]).name
        os.replace(tmp_path / row["image"], tmp_path / folder / name)
        row["image"] = f"{folder}/{name}"
    write_records(path, rows)
    files, warnings = told(path)
    assert files.endswith("each class has folders of its own (0_real, 1_fake), which no detector may see")
    assert warnings == []


def test_thirty_records_are_too_few_and_a_few_more_are_enough(tmp_path: Path) -> None:
    files, _ = told(data_set(tmp_path / "few", each=15))
    said = "15 real and 15 generated images are too few to tell whether they give labels away (50 of each are enough)"
    assert files == f"files: {said}"
    files, _ = told(data_set(tmp_path / "enough", each=50))
    assert "they give no label away" in files


def test_what_is_plain_is_said_of_few_records_too(tmp_path: Path) -> None:
    files, warnings = told(data_set(tmp_path, generated=jpeg, each=15))
    assert "guessed right from codec" in files
    assert names_of(warnings)[0] == "codec"


@pytest.mark.slow
def test_strict_ends_with_a_status_and_gate_with_one_line(tmp_path: Path, zoomin: Callable[..., Any]) -> None:
    fair, unfair = data_set(tmp_path / "fair"), data_set(tmp_path / "unfair", real=with_exif)
    few = data_set(tmp_path / "few", each=10)
    for options, statuses in [((), (0, 0, 0)), (("--strict",), (0, 2, 0)), (("--gate", "--strict"), (0, 2, 0))]:
        for path, expected in zip((fair, unfair, few), statuses, strict=True):
            status, out, _ = zoomin("check", path, *options)
            assert status == expected, (path, options)
            if "--gate" in options:
                assert (out.count("\n"), out[:7]) == (1, "files: ")
                assert out.strip() == told(path)[0]


def test_gate_alone_says_what_is_wrong_with_records(tmp_path: Path, zoomin: Callable[..., Any]) -> None:
    path = data_set(tmp_path, each=2)
    os.unlink(tmp_path / "images" / "0001.png")
    status, out, err = zoomin("check", path, "--gate")
    assert (status, out) == (1, "")
    assert err == f"zoomin: {path}:2: image {tmp_path}/images/0001.png: no such image file\n"


@pytest.mark.slow
def test_benchmark_passes_and_fails_once_its_generated_images_are_jpeg(benchmark_dir: Path, tmp_path: Path) -> None:
    """32 images are too few to pass, and enough to fail."""
    source = benchmark_dir / "train"
    assert "too few to tell" in told(source / "records.jsonl")[0]
    rows = [json.loads(line) for line in (source / "records.jsonl").read_text().splitlines()]
    (tmp_path / "images").mkdir()
    for row in rows:
        image = Image.open(source / row["image"])
        saved = jpeg if row["label"] == "generated" else png
        row["image"] = f"images/{saved(image, tmp_path / Path(row['image']).with_suffix(''))}"
    write_records(tmp_path / "records.jsonl", rows)
    assert "1.00 of the labels are guessed right from codec" in told(tmp_path / "records.jsonl")[0]


@pytest.mark.parametrize("quality", [1, 10, 30, 49, 50, 75, 80, 90, 95, 100])
def test_the_quality_is_the_one_that_pillow_was_given(quality: int) -> None:
    picture = Image.frombytes("RGB", (16, 16), random.Random(0).randbytes(768))
    content = encoded(picture, "JPEG", quality=quality)
    with JpegImagePlugin.JpegImageFile(io.BytesIO(content)) as image:
        assert jpeg_quality(image.quantization[0]) == (quality, True)
        assert jpeg_quality([number + 1 for number in image.quantization[0]])[1] is False


@pytest.mark.parametrize(("right", "of"), [([50, 50], [50, 50]), ([30, 25], [60, 50]), ([0, 60], [60, 60])])
def test_the_interval_joins_wilsons_of_both_classes(right: list[int], of: list[int]) -> None:
    share = gate._interval(right, of)
    alpha = 0.05 / (len(PROPERTIES) + 1)
    below = above = 0.0
    for one, number in zip(right, of, strict=True):
        low, high = proportion_confint(one, number, alpha=alpha, method="wilson")
        below += (one / number - low) ** 2
        above += (high - one / number) ** 2
    mean = (right[0] / of[0] + right[1] / of[1]) / 2
    assert share.value == pytest.approx(mean)
    assert share.low == pytest.approx(mean - math.sqrt(below) / 2)
    assert share.high == pytest.approx(mean + math.sqrt(above) / 2)


def test_fifty_of_each_class_leave_chance_within_the_stated_width() -> None:
    share = gate._interval([25, 25], [50, 50])
    assert (round(share.low, 2), round(share.high, 2)) == (0.37, 0.63)


@pytest.mark.slow
@given(st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_traces_drawn_without_regard_to_labels_are_not_named(seed: int) -> None:
    rng = random.Random(seed)
    words = [f"trace {number}" for number in range(5)]
    traces = [Traces({name: rng.sample(words, 2) for name in PROPERTIES[:2]}, "images") for _ in range(80)]
    assert not gate.measure(traces, list(LABELS) * 40).is_closed


def test_properties_that_only_tell_together_are_said_to() -> None:
    """Each alone is right in 57 of 100, which may be chance; seven that agree are not."""
    rng = random.Random(1)
    labels = list(LABELS) * 200
    by_property: list[dict[str, list[str]]] = [{} for _ in labels]
    for name in PROPERTIES:
        right = {label: rng.sample([True] * 114 + [False] * 86, 200) for label in LABELS}
        for label, hints in zip(labels, by_property, strict=True):
            hints[name] = [label if right[label].pop() else LABELS[label == "real"]]
    found = gate.measure([Traces(hints, "") for hints in by_property], labels)
    assert found.telling == []
    assert "of the labels are guessed right from all properties together (0.5" in found.summary
    [line] = gate.describe(found)
    assert line.startswith("files give labels away by all properties together: 0.6")


def record(number: int, label: str) -> Record:
    return Record(f"{number}.png", ImageRef(f"/{number}.png", (40, 20)), label, where=f"r.jsonl:{number + 1}")


def test_a_sample_takes_so_many_of_each_label_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swift_zoomin.checking.sample.MOST", 10)
    sample = Sample()
    for number in range(1000):
        sample.add(record(number, "real" if number % 5 else "generated"))
    numbers = [int(each.name[:-4]) for each in sample.records()]
    assert (len(numbers), sample.of) == (20, 1000)
    assert numbers == sorted(numbers)
    assert sum(number % 5 == 0 for number in numbers) == 10
    assert max(numbers) > 500


def test_a_sampled_measurement_says_of_how_many() -> None:
    traces = [Traces({"codec": ["PNG"]}, "")] * 200
    found = gate.measure(traces, list(LABELS) * 100, of=1_000_000)
    assert found.summary.endswith("they give no label away; measured on 200 of 1000000 images")
    assert MOST == 5000


def test_names_of_files_are_read_without_their_numbers(tmp_path: Path) -> None:
    forms = []
    for stem in ("000017", "000018", "ILSVRC2012_val_00000001"):
        (tmp_path / f"{stem}.png").write_bytes(encoded(Image.new("RGB", (8, 8)), "PNG"))
        image = ImageRef.of(tmp_path / f"{stem}.png")
        forms.append(traces_of(Record(f"x/{stem}.png", image, "real")).by_property["name"])
    assert forms[0] == forms[1] == ["ends in .png", "form 0", "6 signs", "6 digits"]
    assert forms[2][1:] == ["form A0_a_0", "23 signs", "4 digits", "8 digits", '"ilsvrc"', '"val"']


def test_a_damaged_file_still_ends_the_check(tmp_path: Path) -> None:
    path = data_set(tmp_path, each=2)
    (tmp_path / "images" / "0000.png").write_bytes(b"no picture")
    with pytest.raises(RecordError, match=r"records\.jsonl:1: image .*0000\.png: not a readable image"):
        survey([path])
