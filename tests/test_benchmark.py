"""The sandbox's benchmark: the first look cannot know, a close-up can, and nothing but the weave tells the classes."""

import random
import re
from collections import Counter
from dataclasses import replace
from itertools import chain, combinations
from pathlib import Path

import make_benchmark
import numpy as np
import pytest
from conftest import LIMITS, run_example
from make_benchmark import COLOURS, SCENES, SHRINK, VISIBLE_PERIOD_PX, WEAVES, Box, Scenes, draw_image
from PIL import Image
from qwen_vl_utils import vision_process
from scipy import ndimage
from scipy.stats import chi2_contingency, chisquare, ks_2samp
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from swift_zoomin.families import Frame
from swift_zoomin.images import ImageRef, load_references
from swift_zoomin.records import Record, read_records
from swift_zoomin.replies import render_reply

pytestmark = pytest.mark.sandbox

SIDE_PX = SCENES["quick"].side_px
ALL_WEAVES = [weave for kinds in WEAVES.values() for weave in kinds]
ONE_PANEL = {side: Scenes(panels=(1, 1), discs=0, sides=(side, side), weaves=1) for side in (3, 4)}
CORE_PX = 20  # side of the middle of a weave, away from where it fades
LEAST_P = 0.001


class Dice(random.Random):
    """A seed's random numbers, except that weaves begin at the given phase."""

    phase = 0

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        return min(self.phase, start - 1) if stop is None else super().randrange(start, stop, step)


def drawn(weave: str, phase: int, side: int, seed: int, period: int = SHRINK) -> tuple[Image.Image, Box]:
    """The image of a seed: one panel of this weave and of this side in grid steps."""
    dice = Dice(seed)
    dice.phase = phase
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_benchmark, "WEAVES", {"real": (weave,)})
        image, (box,), _, (woven,) = draw_image("real", ONE_PANEL[side], dice, period)
    assert woven == weave
    return image, box


def seen(image: Image.Image) -> np.ndarray:
    """What the model is shown of an image, by the code that shows it: height, width, RGB."""
    return np.asarray(vision_process.fetch_image({"image": image, "max_pixels": LIMITS.max_pixels}), dtype=int)


def differ(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How far each pixel differs, in the channel that differs most."""
    return np.abs(a - b).max(axis=-1)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=int)


@pytest.mark.parametrize("side", ONE_PANEL)
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 45, 49])
def test_the_first_look_sees_the_same_whatever_the_weave(side: int, seed: int) -> None:
    looks, boxes = {}, set()
    for weave in ALL_WEAVES:
        for phase in range(SHRINK):
            image, box = drawn(weave, phase, side, seed)
            looks[weave, phase] = seen(image)
            boxes.add(box)
    ((x1, y1, x2, y2),) = boxes
    assert looks["level", 0].shape == (112, 112, 3)
    reach = 2  # pixels of the first look that bicubic shrinking looks beyond its own
    around = np.ones((112, 112), dtype=bool)
    around[max(0, y1 // 4 - reach) : y2 // 4 + reach, max(0, x1 // 4 - reach) : x2 // 4 + reach] = False
    for one, other in combinations(looks, 2):
        if one[0] != other[0]:
            difference = differ(looks[one], looks[other])
            assert difference.max() <= 2, (one, other)  # of 255, by rounding
            assert (difference > 0).mean() < 0.06, (one, other)
            assert not difference[around].any(), (one, other)


@pytest.mark.parametrize("side", ONE_PANEL)
@pytest.mark.parametrize("phase", [0, 5, 16, 31])
def test_the_control_can_be_seen_at_first_look(side: int, phase: int) -> None:
    looks = [seen(drawn(weave, phase, side, phase, VISIBLE_PERIOD_PX)[0]) for weave in ALL_WEAVES]
    assert all(differ(one, other).max() > 50 for one, other in combinations(looks, 2))


@pytest.mark.parametrize("side", ONE_PANEL)
@pytest.mark.parametrize("phase", range(SHRINK))
def test_weaves_differ_strongly_in_the_original_and_in_a_close_up(side: int, phase: int, tmp_path: Path) -> None:
    for one, other in combinations(ALL_WEAVES, 2):
        originals, close_ups = [], []
        for weave in (one, other):
            image, box = drawn(weave, phase, side, seed=phase)
            image.save(tmp_path / "image.png")
            (close_up,) = load_references([ImageRef.of(tmp_path / "image.png").under(LIMITS).crop(box)])
            originals.append(pixels(image))
            close_ups.append(seen(close_up))
        x1, y1, x2, y2 = box
        difference = differ(*originals)
        # In full, two weaves differ in half or a quarter of the pixels; at the edges they fade.
        assert (difference[y1:y2, x1:x2] > 50).mean() > 0.06, (one, other)
        middle = difference[(y1 + y2) // 2 - 10 : (y1 + y2) // 2 + 10, (x1 + x2) // 2 - 10 : (x1 + x2) // 2 + 10]
        assert (middle > 50).mean() >= 0.25, (one, other)
        assert close_ups[0].shape == (112, 112, 3)
        assert (differ(*close_ups) > 50).mean() > 0.06, (one, other)
        difference[y1:y2, x1:x2] = 0
        assert not difference.any()


def probe(period: int, images: int = 1200) -> float:
    """How often a linear classifier names the class, given what the first look sees of the only panel."""
    rng, features = random.Random(0), []
    for number in range(images):
        image, ((x1, y1, x2, y2),), _, _ = draw_image(("real", "generated")[number % 2], SCENES["quick"], rng, period)
        panel = seen(image)[y1 // 4 : y2 // 4, x1 // 4 : x2 // 4]
        bends = [np.diff(panel.mean(axis=axis), 2, axis=0) for axis in (0, 1)]  # without colour and light
        features.append(np.concatenate([*(bend.ravel() for bend in bends), *(bend.std(axis=0) for bend in bends)]))
    half, labels = images // 2, np.arange(images) % 2
    classifier = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(features[:half], labels[:half])
    return float(classifier.score(features[half:], labels[half:]))


def test_a_probe_of_the_first_look_learns_nothing() -> None:
    assert probe(SHRINK) < 0.6  # 0.5 by chance, -+ 0.02


def test_a_probe_of_the_first_look_learns_the_control() -> None:
    assert probe(VISIBLE_PERIOD_PX, images=300) > 0.9


@pytest.mark.parametrize("seed", range(100))
def test_the_label_changes_nothing_but_the_weave_of_one_panel(seed: int) -> None:
    dice = {label: random.Random(seed) for label in WEAVES}
    images, boxes, colours, weaves = zip(
        *(draw_image(label, SCENES["full"], dice[label]) for label in ("real", "generated")), strict=True
    )
    assert boxes[0] == boxes[1]
    assert colours[0] == colours[1]
    (odd,) = [index for index, (real, generated) in enumerate(zip(*weaves, strict=True)) if real != generated]
    assert weaves[1][odd] in WEAVES["generated"]
    difference = differ(*map(pixels, images))
    x1, y1, x2, y2 = boxes[0][odd]
    assert difference[y1:y2, x1:x2].any()
    difference[y1:y2, x1:x2] = 0
    assert not difference.any()
    assert dice["real"].getstate() == dice["generated"].getstate()  # what is drawn next does not depend on it either


def weave_at(image: np.ndarray, x: int, y: int) -> str:
    """The weave around a place, read from the pixels: which neighbours are both lit or both dark."""
    patch = image[y - CORE_PX // 2 : y + CORE_PX // 2, x - CORE_PX // 2 : x + CORE_PX // 2].sum(axis=-1)
    lit = patch > (patch.max() + patch.min()) / 2
    alike = {
        "level": (lit[:, 1:] == lit[:, :-1]).mean(),
        "upright": (lit[1:] == lit[:-1]).mean(),
        "slanted": (lit[1:, :-1] == lit[:-1, 1:]).mean(),
        "checked": (lit[2:] != lit[:-2]).mean() * (lit[:, 2:] != lit[:, :-2]).mean() - 0.01,  # true of slanted, too
    }
    return max(alike, key=lambda weave: alike[weave])


def colour_at(image: np.ndarray, box: Box) -> str:
    """The colour of a panel, read from its mean: half of it is lit, and the light adds its share."""
    x1, y1, x2, y2 = box
    light = np.array([(x1 + x2) / 2, SIDE_PX / 2, (y1 + y2) / 2]) * 255 / SIDE_PX * make_benchmark.LIGHT
    mean = (image[y1:y2, x1:x2].mean(axis=(0, 1)) - light) / (1 - make_benchmark.LIGHT) * 2
    return min(COLOURS, key=lambda name: np.abs(mean - COLOURS[name]).max())


def discs_of(image: np.ndarray, boxes: list[Box]) -> list[tuple[str, float]]:
    """Weave and brightness of what is woven besides the panels, read from the pixels."""
    green = image[..., 1]  # the light is level in it
    strange = green != np.bincount(green.ravel()).argmax()
    for x1, y1, x2, y2 in boxes:
        strange[y1:y2, x1:x2] = False
    blocks = strange.reshape(SIDE_PX // SHRINK, SHRINK, SIDE_PX // SHRINK, SHRINK).any(axis=(1, 3))
    found = []
    for rows, columns in ndimage.find_objects(ndimage.label(blocks)[0]):
        x, y = (SHRINK * (part.start + part.stop) // 2 for part in (columns, rows))
        found.append((weave_at(image, x, y), float(green[y - 10 : y + 10, x - 10 : x + 10].mean())))
    return found


@pytest.fixture(scope="module")
def statistics() -> dict[str, dict[str, list]]:
    """What 1,600 scenes show, by label and by what is counted."""
    rng = random.Random(0)
    counted: dict[str, dict[str, list]] = {label: {} for label in WEAVES}
    for number in range(1600):
        label = ("real", "generated")[number % 2]
        picture, boxes, colours, weaves = draw_image(label, SCENES["full"], rng)
        image = np.asarray(picture)  # bytes: counting them is several times faster than counting whole numbers
        discs = discs_of(image, boxes)
        entries = {
            "panels": [len(boxes)],
            "lefts": [box[0] for box in boxes],
            "tops": [box[1] for box in boxes],
            "sides": [box[index + 2] - box[index] for box in boxes for index in (0, 1)],
            "colours": colours,
            "discs": [len(discs)],
            "disc weaves": [weave for weave, _ in discs],
            "disc brightness": [brightness for _, brightness in discs],
            "ground": [int(np.bincount(image[..., 1].ravel()).argmax())],
            "mean red": [float(image[..., 0].mean())],
            "mean green": [float(image[..., 1].mean())],
            "mean blue": [float(image[..., 2].mean())],
            "size and mode": [(*picture.size, picture.mode)],
            "odd": [tuple(weave in WEAVES["generated"] for weave in weaves)],
        }
        for name, values in entries.items():
            counted[label].setdefault(name, []).extend(values)
    return counted


def p_of_categories(one: list, other: list) -> float:
    """Of independence: how likely two samples of one distribution would differ as much."""
    counts = Counter(one), Counter(other)
    return float(chi2_contingency([[count[value] for value in set(one + other)] for count in counts]).pvalue)


@pytest.mark.parametrize("name", ["panels", "lefts", "tops", "colours", "disc weaves"])
def test_what_is_drawn_does_not_depend_on_the_label(statistics: dict, name: str) -> None:
    real, generated = (statistics[label][name] for label in ("real", "generated"))
    assert len(set(real)) > 1
    assert p_of_categories(real, generated) > LEAST_P


@pytest.mark.parametrize("name", ["ground", "disc brightness", "mean red", "mean green", "mean blue"])
def test_how_bright_it_is_does_not_depend_on_the_label(statistics: dict, name: str) -> None:
    real, generated = (statistics[label][name] for label in ("real", "generated"))
    assert np.std(real) > 1
    assert ks_2samp(real, generated).pvalue > LEAST_P


def test_every_scene_has_the_same_sizes_and_a_disc_of_every_weave(statistics: dict) -> None:
    for counted in statistics.values():
        assert set(counted["size and mode"]) == {(448, 448, "RGB")}
        assert set(counted["sides"]) == {4 * SCENES["quick"].step_px}
        assert set(counted["discs"]) == {SCENES["full"].discs} == {1}
        assert set(counted["disc weaves"]) == set(ALL_WEAVES)
        assert min(Counter(counted["panels"]).values()) > 120  # of 800, 200 each


def test_a_generated_image_has_one_odd_panel_of_any_place_and_colour(statistics: dict) -> None:
    assert not any(map(any, statistics["real"]["odd"]))
    images = statistics["generated"]["odd"]
    assert {sum(odd) for odd in images} == {1}
    for count in (2, 3, 4):
        places = Counter(odd.index(True) for odd in images if len(odd) == count)
        assert chisquare([places[index] for index in range(count)]).pvalue > LEAST_P
    marked = list(zip(statistics["generated"]["colours"], chain(*images), strict=True))
    by_colour = [[colour for colour, odd in marked if odd == wanted] for wanted in (True, False)]
    assert p_of_categories(*by_colour) > LEAST_P


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Benchmarks, by what was asked for."""
    folder = tmp_path_factory.mktemp("made")
    options = {
        "quick": [],
        "full": ["--scenes", "full"],
        "again": ["--scenes", "full"],
        "fewer": ["--scenes", "full", "--train", 5],
        "other": ["--scenes", "full", "--seed", 1],
        "visible": ["--visible"],
    }
    for name, more in options.items():
        run_example("make_benchmark.py", folder / name, "--train", 24, "--test", 12, *more)
    return {name: folder / name for name in options}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_seed_gives_the_same_files_and_another_others(made: dict[str, Path]) -> None:
    full, again, fewer, other = (files(made[name]) for name in ("full", "again", "fewer", "other"))
    assert len(full) == 24 + 12 + 2
    assert full == again
    assert len(fewer.items() & full.items()) == 5 + 12 + 1  # but for train/records.jsonl
    assert full.keys() == other.keys()
    assert not set(full.values()) & set(other.values())


@pytest.mark.parametrize("name", ["quick", "full", "visible"])
def test_no_image_occurs_twice_in_train_and_test(made: dict[str, Path], name: str) -> None:
    shown = [pixels(Image.open(path)).tobytes() for path in made[name].rglob("*.png")]
    assert len(shown) == len(set(shown)) == 24 + 12


@pytest.mark.parametrize("name", ["quick", "full", "visible"])
def test_files_of_both_classes_are_alike(made: dict[str, Path], name: str) -> None:
    for record in records_of(made[name]):
        with Image.open(record.image.path) as image:
            assert (image.format, image.mode, image.size, image.info) == ("PNG", "RGB", (448, 448), {})


def records_of(folder: Path) -> list[Record]:
    return [record for split in ("train", "test") for record in read_records(folder / split / "records.jsonl")]


def said_of(record: Record) -> list[tuple[str, str]]:
    """Colour and weave of each sentence."""
    words = [re.findall(r"\w+", sentence) for sentence in record.explanation.split(".")[:-1]]
    colours, weaves = ([word for said in words for word in said if word in known] for known in (COLOURS, ALL_WEAVES))
    assert len(words) == len(colours) == len(weaves), record.explanation
    return list(zip(colours, weaves, strict=True))


@pytest.mark.parametrize("name", ["quick", "full"])
def test_the_annotation_is_what_the_picture_shows(made: dict[str, Path], name: str) -> None:
    woven = set()
    for record in records_of(made[name]):
        image, boxes = pixels(Image.open(record.image.path)), [tuple(map(int, box)) for box in record.boxes_px or []]
        shown = [
            (colour_at(image, box), weave_at(image, (box[0] + box[2]) // 2, (box[1] + box[3]) // 2)) for box in boxes
        ]
        assert said_of(record) == shown, record.name
        assert record.box_labels == [f"{colour} panel" for colour in COLOURS if colour in dict(shown)]  # in order
        assert len(discs_of(image, boxes)) == SCENES[name].discs
        odd = sum(weave in WEAVES["generated"] for _, weave in shown)
        assert odd == (record.label == "generated")
        assert not {"real", "generated"} & set(re.findall(r"\w+", record.explanation))
        woven |= {weave for _, weave in shown}
    assert woven == {kinds[index] for kinds in WEAVES.values() for index in range(SCENES[name].weaves)}


@pytest.mark.parametrize("name", ["quick", "full", "visible"])
def test_boxes_lie_on_whole_pixels_of_the_first_look_and_do_not_touch(made: dict[str, Path], name: str) -> None:
    counts = Counter()
    for record in records_of(made[name]):
        boxes = record.boxes_px or []
        counts[len(boxes)] += 1
        for x1, y1, x2, y2 in boxes:
            assert 0 <= x1 < x2 <= SIDE_PX
            assert 0 <= y1 < y2 <= SIDE_PX
            assert not any(number % SHRINK for number in (x1, y1, x2, y2))
        for one, other in combinations(boxes, 2):
            assert one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]
    assert set(counts) == ({1, 2, 3, 4} if name == "full" else {1})


@pytest.mark.parametrize("name", ["quick", "full", "visible"])
def test_each_split_is_half_real_and_half_generated(made: dict[str, Path], name: str) -> None:
    for split, images in (("train", 24), ("test", 12)):
        records = read_records(made[name] / split / "records.jsonl")
        assert Counter(record.label for record in records) == {"real": images // 2, "generated": images // 2}
        assert not any(record.extra for record in records)


def test_visible_makes_the_weave_coarse_and_nothing_else_does(made: dict[str, Path]) -> None:
    spread: dict[str, list[float]] = {"quick": [], "visible": []}
    for name, spreads in spread.items():
        for record in records_of(made[name]):
            x1, y1, x2, y2 = (int(number) // SHRINK for number in (record.boxes_px or [])[0])
            green = seen(Image.open(record.image.path))[..., 1]  # the light is level in it
            spreads.append(green[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].std())  # shrinking mixes edges with the ground
    assert max(spread["quick"]) < 1
    assert min(spread["visible"]) > 4  # red has a green of 40, of which 0.6 is left: -+ 12, fading


def test_the_tiny_tokenizer_knows_every_word_of_the_benchmark(made: dict[str, Path]) -> None:
    from make_model import make_tokenizer

    from swift_zoomin.rows import gold_reply

    tokenizer = make_tokenizer(Frame.ABSOLUTE)
    sentences = [
        sentence.format(colour=colour, weave=weave)
        for sentence in make_benchmark.SENTENCES
        for colour in COLOURS
        for weave in ALL_WEAVES
    ]
    records = [replace(record, image=record.image.under(LIMITS)) for record in records_of(made["full"])]
    replies = [render_reply(gold_reply(record)) for record in records]
    assert tokenizer.unk_token is None  # what it did not know would be left out
    for text in [*sentences, *replies]:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert not set(ids) & set(tokenizer.all_special_ids)
    after_a_blank = [f" {word}" for word in (*COLOURS, *ALL_WEAVES, "panel")]
    for word in [*after_a_blank, *COLOURS, *WEAVES]:  # the latter open a label or a verdict
        assert len(tokenizer(word, add_special_tokens=False)["input_ids"]) == 1, word
