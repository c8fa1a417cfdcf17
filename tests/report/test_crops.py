"""The regions of a row, and the windows that were cut for it: the very ones that the engine was shown."""

from pathlib import Path
from typing import Any

import pytest
from evidence_rows import BOX_MODEL, BOX_PX, MADE_BY, SIZE, picture, reply, row
from scripted_engine import ScriptedEngine, answer

from swift_zoomin.detection import Detector
from swift_zoomin.episode import CHOOSERS, MAX_CROPS
from swift_zoomin.images import load_references
from swift_zoomin.pictures import ImageError
from swift_zoomin.replies import GENERATED, REAL
from swift_zoomin.report.crops import listed_regions, regions_of

# In the model's frame: thin, tiny, of fractions, over the edge, twice the same, and one without an area.
BOXES: list[list[float]] = [
    [56, 28, 156, 128],
    [100, 100, 103, 300],
    [10, 10, 12, 12],
    [33.3, 66.6, 99.9, 122.2],
    [500, 300, 600, 400],
    [56, 28, 156, 128],
    [50, 50, 50, 90],
    [200, 200, 300, 260],
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return picture(tmp_path / "a.png")


@pytest.mark.parametrize("chooser", CHOOSERS)
def test_the_crops_are_those_that_the_model_was_shown(file: Path, chooser: str) -> None:
    engine = ScriptedEngine({"a": [answer(REAL, *BOXES), answer(GENERATED)]})
    (prediction,) = Detector(engine=engine, choose=CHOOSERS[chooser]).detect([str(file)])
    prediction |= {"made_by": MADE_BY.replace("regions first", f"regions {chooser}")}
    shown = engine.asked[1].images[1:]
    regions = regions_of(prediction, file)
    crops = [region.crop for region in regions if region.crop]
    assert sorted(map(str, crops)) == sorted(map(str, shown))
    assert [region.number for region in regions] == list(range(1, len(regions) + 1))
    for seen, again in zip(load_references(shown), load_references(crops), strict=True):
        assert seen.tobytes() == again.tobytes()
    if chooser == "random":
        assert [region.is_marked for region in regions] == [True] * len(BOXES) + [False] * MAX_CROPS
        assert not any(region.crop for region in regions if region.is_marked)
    else:
        assert len(regions) == len(BOXES)
        for region in regions:
            left, top, right, bottom = region.window or (0, 0, *SIZE)
            x1, y1, x2, y2 = region.box_px
            assert left <= x1 + 0.01
            assert top <= y1 + 0.01
            assert right >= x2 - 0.01
            assert bottom >= y2 - 0.01


def test_a_region_has_its_label_its_box_and_its_window(file: Path) -> None:
    (region,) = regions_of(row(file), file)
    assert (region.number, region.label, region.box_px) == (1, "sign", BOX_PX)
    assert region.window == (105, 53, 294, 247)


@pytest.mark.parametrize(
    "change",
    [
        {"made_by": None},
        {"made_by": "LEGION"},
        {"made_by": MADE_BY.replace("regions first", "ground")},
        {"replies": None},
        {"replies": [reply(REAL, BOX_MODEL)]},
        {"boxes": [[1, 2, 30, 40]]},
        {"width": 999},
    ],
)
def test_without_what_the_crops_depend_on_there_are_boxes_and_no_crops(file: Path, change: dict[str, Any]) -> None:
    prediction = row(file, **change)
    regions = regions_of(prediction, file)
    assert [region.box_px for region in regions] == prediction["boxes"]
    assert [region.crop for region in regions] == [None]


@pytest.mark.parametrize("labels", [None, "sign", [], ["a", "b", "c"], [7]])
def test_labels_that_are_no_list_of_texts_harm_nothing(labels: Any) -> None:
    boxes = [[0, 0, 1, 1], [1, 1, 2, 2]]
    regions = listed_regions({"image": "a", "verdict": REAL, "boxes": boxes, "box_labels": labels})
    assert len(regions) == 2
    assert all(isinstance(region.label, str) for region in regions)


def test_a_missing_label_is_none_and_a_box_begins_at_its_left_upper_corner() -> None:
    boxes = [[300, 400, 30, 40], [1, 1, 2, 2]]
    regions = listed_regions({"image": "a", "verdict": REAL, "boxes": boxes, "box_labels": [None, "sign"]})
    assert [region.label for region in regions] == ["", "sign"]
    assert [region.box_px for region in regions] == [[30, 40, 300, 400], [1, 1, 2, 2]]


def test_an_image_that_is_gone_is_an_error(file: Path) -> None:
    prediction = row(file)
    file.unlink()
    with pytest.raises(ImageError):
        regions_of(prediction, file)
