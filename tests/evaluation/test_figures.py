"""The figures: what is drawn is what the tables say, read back from what was drawn."""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from made_predictions import by_path, prediction_rows, record_rows, to_records, write_set

from swift_zoomin.evaluation.answers import to_answers
from swift_zoomin.evaluation.curves import BINS
from swift_zoomin.evaluation.explained import explained_by
from swift_zoomin.evaluation.figures import Figure, share
from swift_zoomin.evaluation.metrics import by_group, evaluation
from swift_zoomin.evaluation.pairing import pair
from swift_zoomin.evaluation.patterns import PAPER_SHARES, patterns
from swift_zoomin.evaluation.plots import style
from swift_zoomin.evaluation.plots.explanations import keyword_shares, pattern_shares
from swift_zoomin.evaluation.plots.material import Drawn, LeftOut, Material, gather
from swift_zoomin.evaluation.plots.regions import accuracy_by_regions, region_counts
from swift_zoomin.evaluation.plots.robustness import robustness
from swift_zoomin.evaluation.plots.scores import reliability_diagram, roc_curves
from swift_zoomin.evaluation.plots.writing import OF_AN_EVALUATION, write_figures
from swift_zoomin.evaluation.sets import ImageSet
from swift_zoomin.records import Record, write_records

Row = dict[str, Any]
LONG = "zoomin-7b-sft-decoupled-grpo2-lr1e-5-seed42-checkpoint-3000-vllm-bf16"
ODD = "_a $x^2$ & <b>"
SIGNATURE = "a zoomin:0 signature"
FAULT = "The fingers are fused. The shadows fall the wrong way."


def one_turn(rows: list[Row]) -> list[Row]:
    """What a detector gives that only says a verdict and a score."""
    return [{name: value for name, value in row.items() if name in ("image", "verdict", "score")} for row in rows]


def made_records(count: int) -> list[Row]:
    rows = record_rows(count)
    for row in rows[::3]:
        row["explanation"] = FAULT
    return rows


def made_methods(rows: list[Row]) -> dict[str, list[Row]]:
    """Predictions of four kinds of methods: all of ours, ours without scores, a classifier, verdicts alone."""
    for_all = prediction_rows(rows, seed=1)
    for row in for_all[::4]:
        row["explanation"] = FAULT
    return {
        "ZoomIn-32B": for_all,
        LONG: prediction_rows(rows, seed=2, right=0.7, scored=False),
        ODD: one_turn(prediction_rows(rows, seed=3)),
        "verdicts": one_turn(prediction_rows(rows, seed=4, scored=False)),
    }


def material_of(records: list[Record], methods: dict[str, list[Row]]) -> Material:
    answers, explained = [], []
    for name, rows in methods.items():
        predictions = by_path(rows)
        pairs = pair(records, predictions)
        answers.append(to_answers(name, pairs, predictions))
        explained.append(explained_by(name, pairs))
    return gather(records, answers, explained, evaluation(records, answers)["methods"])


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return made_records(200)


@pytest.fixture(scope="module")
def methods(rows: list[Row]) -> dict[str, list[Row]]:
    return made_methods(rows)


@pytest.fixture(scope="module")
def material(rows: list[Row], methods: dict[str, list[Row]]) -> Material:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("swift_zoomin.evaluation.resampling.RESAMPLES", 100)
        return material_of(to_records(rows), methods)


@pytest.fixture(autouse=True)
def within_the_style(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(style, "_PNG_DOTS_AN_INCH", 50)  # no test looks at pixels, and few are written faster
    monkeypatch.setattr("swift_zoomin.evaluation.resampling.RESAMPLES", 100)  # no test here hangs on their number
    with style.drawing():
        yield


def draw(figure: Callable[[Any], Drawn | LeftOut], material: Any) -> Any:
    drawn = figure(material)
    assert isinstance(drawn, Drawn), drawn
    return drawn.figure


def legend_of(figure: Any) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text().replace("\n", "") for text in legend.get_texts()]


def test_the_accuracies_drawn_are_those_of_the_table_by_regions(rows: list[Row], material: Material) -> None:
    (axes,) = draw(accuracy_by_regions, material).axes
    groups = by_group("regions", to_records(rows), material.methods)
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert names == ["0", "1", "2", "3", "4"]
    for index, method in enumerate(("ZoomIn-32B", LONG)):
        joined, hollow = axes.lines[2 * index : 2 * index + 2]
        for place, group in enumerate(names):
            accuracy, images = groups[group][method]["accuracy"], groups[group][method]["images"].value
            line, other = (joined, hollow) if images >= 10 else (hollow, joined)
            assert line.get_ydata()[place] == accuracy.value
            assert np.isnan(other.get_ydata()[place])
            assert abs(line.get_xdata()[place] - place) < 0.5
    bounds = [tuple(collection.get_segments()[0][:, 1]) for collection in axes.collections]
    figures = [groups[group][method]["accuracy"] for method in ("ZoomIn-32B", LONG) for group in names]
    assert bounds == [(figure.low, figure.high) for figure in figures]


def test_numbers_of_few_images_are_hollow(material: Material) -> None:
    counts = {group: figures["ZoomIn-32B"]["images"].value for group, figures in material.by_regions.items()}
    few = replace(material, by_regions={**material.by_regions, "2": few_images(material.by_regions["2"])})
    joined, hollow = draw(accuracy_by_regions, few).axes[0].lines[:2]
    assert counts["2"] > 10
    assert [bool(np.isnan(value)) for value in joined.get_ydata()] == [False, False, True, False, False]
    assert [bool(np.isnan(value)) for value in hollow.get_ydata()] == [True, True, False, True, True]
    assert hollow.get_linestyle() == "None"


def few_images(group: Any) -> Any:
    return {name: {**figures, "images": Figure(9)} for name, figures in group.items()}


def test_the_bars_of_region_counts_are_shares_of_all_images(methods: dict[str, list[Row]], material: Material) -> None:
    figure = draw(region_counts, material)
    for axes, name in zip(figure.axes, ("ZoomIn-32B", LONG), strict=True):
        readable = [row for row in methods[name] if row.get("boxes") or row.get("initial_verdict")]
        counts = Counter(len(row.get("boxes") or []) for row in readable)
        heights = [bar.get_height() for bar in axes.patches]
        expected = [100 * counts[number] / 200 for number in range(5)]
        assert heights == pytest.approx([*expected, 100 * (200 - len(readable)) / 200])
        mean = sum(number * count for number, count in counts.items()) / len(readable)
        assert f"(mean {mean:.2f})" in axes.get_title(loc="left").replace("\n", " ")
    assert [text.get_text() for text in figure.axes[-1].get_xticklabels()] == ["0", "1", "2", "3", "4", "unread"]


def test_a_number_of_regions_that_no_image_has_leaves_a_gap() -> None:
    rows = [{"image": f"images/{n}.png", "label": "real"} for n in range(3)]
    boxes = [[5, 5, 9, 9]]
    predictions = [{**row, "verdict": "real", "boxes": boxes * n} for row, n in zip(rows, (0, 2, 12), strict=True)]
    material = material_of(to_records(rows), {"one": predictions})
    for figure in (accuracy_by_regions, region_counts):
        ticks = [text.get_text() for text in draw(figure, material).axes[-1].get_xticklabels()]
        assert ticks == ["0", "1", "2", ">10"]


def test_keyword_shares_are_those_of_the_texts_with_words(
    rows: list[Row], methods: dict[str, list[Row]], material: Material
) -> None:
    figure = draw(keyword_shares, material)
    (axes,) = figure.axes
    words = [text.get_text() for text in axes.get_yticklabels()]
    assert len(words) == 15
    assert legend_of(figure) == ["annotations", "ZoomIn-32B", LONG]
    for line, source in zip(axes.lines, (rows, methods["ZoomIn-32B"], methods[LONG]), strict=True):
        texts = [row["explanation"].lower() for row in source if row.get("explanation")]
        shares = [sum(bool(re.search(rf"\b{word}\b", text)) for text in texts) / len(texts) for word in words]
        assert list(line.get_xdata()) == pytest.approx(shares)
    means = np.mean([line.get_xdata() for line in axes.lines], axis=0)
    assert list(means) == sorted(means, reverse=True)


def test_pattern_shares_are_of_explained_right_verdicts(rows: list[Row], methods: dict[str, list[Row]]) -> None:
    labels = {row["image"]: row["label"] for row in rows}
    ours = methods["ZoomIn-32B"]
    right = [row["explanation"] for row in ours if row["verdict"] == labels[row["image"]] and row["explanation"]]
    figure = draw(pattern_shares, material_of(to_records(rows), {"ours": ours}))
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    shares = [sum(pattern in patterns(text) for text in right) / len(right) for pattern in PAPER_SHARES]
    assert widths == pytest.approx([*shares, 0.124, 0.086, 0.081, 0.047])
    assert shares[0] > 0.2
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written == [f"{share:.3f}" for share in widths]


def test_the_reliability_drawn_is_another_librarys_and_sums_up_to_the_ece(material: Material) -> None:
    from sklearn.calibration import calibration_curve

    figure = draw(reliability_diagram, material)
    above, below = figure.axes
    ours, answers = above.lines[1], material.methods[0]
    has_score = ~np.isnan(answers.scores)
    shares, scores = calibration_curve(answers.is_generated[has_score], answers.scores[has_score], n_bins=BINS)
    np.testing.assert_allclose(ours.get_xydata(), np.stack([scores, shares], axis=1), atol=1e-12)
    images = below.lines[0].get_ydata()
    assert images.sum() == has_score.sum() == material.figures["ZoomIn-32B"]["scored"].value
    ece = float(np.abs(shares - scores) @ images / images.sum())
    assert ece == pytest.approx(material.figures["ZoomIn-32B"]["ece"].value, abs=1e-12)
    odd = material.figures[ODD]["ece"].value
    assert legend_of(figure) == [f"ZoomIn-32B (ECE {ece:.3f})", f"{ODD} (ECE {odd:.3f})"]


def test_the_area_under_the_curve_drawn_is_the_auc_of_the_table(material: Material) -> None:
    figure = draw(roc_curves, material)
    for line, name in zip(figure.axes[0].lines[1:], ("ZoomIn-32B", ODD), strict=True):
        alarms, hits = line.get_xdata(), line.get_ydata()
        assert np.trapezoid(hits, alarms) == pytest.approx(material.figures[name]["auc"].value, abs=1e-12)
        assert (alarms[0], hits[0], alarms[-1], hits[-1]) == (0, 0, 1, 1)


@pytest.mark.parametrize("grouped_by", [None, 4, 1000])
def test_a_share_has_the_interval_that_the_same_share_has_in_the_table(rows: list[Row], grouped_by: int | None) -> None:
    if grouped_by is not None:
        rows = [{**row, "group": index // grouped_by} for index, row in enumerate(rows)]
    records = to_records(rows)
    material = material_of(records, {"theirs": one_turn(prediction_rows(rows, seed=3, scored=False))})
    shares = {name: share(material.methods[0].means[name], material.groups) for name in ("accuracy", "precision")}
    assert shares == {name: pytest.approx(material.figures["theirs"][name]) for name in shares}


def test_a_method_looks_the_same_in_every_figure(material: Material) -> None:
    curves = draw(roc_curves, material).axes[0].lines[1:]
    assert [line.get_color() for line in curves] == [style.look(0).colour, style.look(2).colour]
    assert [line.get_marker() for line in curves] == [style.look(0).marker, style.look(2).marker]
    looks = [style.look(index) for index in range(42)]
    assert len({(one.colour, one.marker) for one in looks}) == len({(one.colour, one.hatch) for one in looks}) == 42


def image_sets(*names: str) -> list[ImageSet]:
    first = {"accuracy": Figure(0.75, 0.7, 0.8), "timed": Figure(0)}
    second = {"accuracy": Figure(0.5, 0.25, 0.625), "timed": Figure(0)}
    sets = [ImageSet(name, {LONG: first, "npr": second}, SIGNATURE, None) for name in names]
    return [*sets[:-1], sets[-1]._replace(methods={LONG: second})]


def test_robustness_has_a_bar_for_each_set_and_method_and_a_dash_where_one_lacks() -> None:
    figure = draw(robustness, image_sets("clean", "jpeg80", "jpeg30+half"))
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [0.75, 0.75, 0.5, 0.5, 0.5, 0]
    assert [text.get_text() for text in axes.texts] == ["0.750", "0.750", "0.500", "0.500", "0.500", "-"]
    bounds = [tuple(collection.get_segments()[0][:, 0]) for collection in axes.collections]
    assert bounds == [(0.7, 0.8), (0.7, 0.8), (0.25, 0.625), (0.25, 0.625), (0.25, 0.625)]
    assert legend_of(figure) == [LONG, "npr"]


def drawn_texts(figure: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Each text that a figure shows, with its box in dots."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    found, draw_text = [], Text.draw

    def draw_and_note(self: Any, renderer: Any) -> None:
        draw_text(self, renderer)
        if self.get_visible() and self.get_text():
            found.append((self.get_text(), Text.get_window_extent(self, renderer)))

    monkeypatch.setattr(Text, "draw", draw_and_note)
    FigureCanvasAgg(figure).draw()
    return found


@pytest.mark.parametrize("name", [*OF_AN_EVALUATION, "robustness"])
def test_no_text_overlaps_another_or_leaves_the_figure(
    name: str, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = image_sets("clean", "a set with a long name of its own", "jpeg30")
    figure = draw(robustness, sets) if name == "robustness" else draw(OF_AN_EVALUATION[name], material)
    texts = drawn_texts(figure, monkeypatch)
    assert len(texts) > 10
    for text, box in texts:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.width, text
        assert box.y1 <= figure.bbox.height, text
    for (first, box), (second, other) in combinations(texts, 2):
        shared = (min(box.x1, other.x1) - max(box.x0, other.x0), min(box.y1, other.y1) - max(box.y0, other.y0))
        assert min(shared) <= 0.5, (first, second)  # dots of a hundredth of an inch


def test_texts_of_an_svg_are_text_and_both_files_bear_the_signature(material: Material, tmp_path: Path) -> None:
    notes = write_figures({"roc": roc_curves}, material, tmp_path, SIGNATURE)
    svg = (tmp_path / "figures" / "roc.svg").read_text()
    texts = {"".join(element.itertext()).strip() for element in ElementTree.fromstring(svg).iter() if is_text(element)}
    auc = material.figures[ODD]["auc"].value
    assert {f"{ODD} (AUC {auc:.3f})", "0.4", "True-positive rate: generated images found"} <= texts
    assert "<dc:date>" not in svg
    assert SIGNATURE in svg
    assert SIGNATURE.encode() in (tmp_path / "figures" / "roc.png").read_bytes()
    assert notes == [f"figure roc: without {LONG}, verdicts, which have no scores of images of both labels"]


def is_text(element: Any) -> bool:
    return element.tag.endswith("}text")


def test_the_same_figures_are_the_same_bytes_whatever_the_users_settings(material: Material, tmp_path: Path) -> None:
    import matplotlib

    figures = {"patterns": pattern_shares}  # with hatches, which an SVG refers to by names made up for it
    write_figures(figures, material, tmp_path / "first", SIGNATURE)
    matplotlib.rcParams.update({"font.size": 30, "svg.fonttype": "path", "axes.facecolor": "red"})
    write_figures(figures, material, tmp_path / "second", SIGNATURE)
    assert matplotlib.rcParams["font.size"] == 30
    first, second = (sorted((tmp_path / name / "figures").iterdir()) for name in ("first", "second"))
    assert [file.name for file in first] == [file.name for file in second]
    assert len(first) == 2
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


def test_a_name_keeps_all_its_letters_in_lines_that_fit() -> None:
    lines = style.wrapped(LONG).split("\n")
    assert lines == ["zoomin-7b-sft-decoupled-grpo2-lr1e-5-seed42-", "checkpoint-3000-vllm-bf16"]
    assert style.wrapped("W" * 70) == "\n".join(["W" * 27, "W" * 27, "W" * 16])  # as wide as 48 common letters
    assert style.wrapped("x" * 100).replace("\n", "") == "x" * 100
    assert style.wrapped("two\nlines\x01") == r"'two\nlines\x01'"


@pytest.mark.slow
def test_figures_that_cannot_be_are_left_out_said_and_removed(
    zoomin: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    rows = write_set(tmp_path, 6)
    write_records(tmp_path / "ours.jsonl", prediction_rows(rows, seed=1))
    write_records(tmp_path / "theirs.jsonl", one_turn(prediction_rows(rows, seed=1, scored=False)))
    out = tmp_path / "out"
    command = ("evaluate", tmp_path / "records.jsonl")
    code, printed, errors = zoomin(*command, tmp_path / "ours.jsonl", "--out", out, "--figures")
    assert (code, errors) == (0, "")
    assert "figure" not in printed
    drawn = {file.name for file in (out / "figures").iterdir()}
    assert drawn == {f"{name}.{kind}" for name in OF_AN_EVALUATION for kind in ("svg", "png")}

    code, printed, errors = zoomin(*command, tmp_path / "theirs.jsonl", "--out", out, "--figures")
    assert (code, errors) == (0, "")
    assert [line for line in printed.splitlines() if "figure" in line] == [
        "no figure accuracy_by_regions: no method marks regions",
        "no figure region_counts: no method marks regions",
        "figure keywords: without theirs, which has no explanations",
        "no figure patterns: no method explains a right verdict",
        "no figure reliability: no method has a score",
        "no figure roc: no method has scores of images of both labels",
    ]
    assert {file.name for file in (out / "figures").iterdir()} == {"keywords.png", "keywords.svg"}
    code, printed, _ = zoomin("tables", out, "--out", tmp_path / "tables", "--figures")
    assert code == 0
    assert printed.endswith("no figure robustness: one set has no other to compare it with\n")


def test_a_picture_of_the_users_own_is_not_replaced(
    zoomin: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    rows = write_set(tmp_path, 4)
    write_records(tmp_path / "ours.jsonl", prediction_rows(rows, seed=1))
    mine = tmp_path / "out" / "figures" / "roc.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    command = ("evaluate", tmp_path / "records.jsonl", tmp_path / "ours.jsonl", "--out", tmp_path / "out", "--figures")
    code, printed, errors = zoomin(*command)
    assert (code, printed, mine.read_bytes()) == (1, "", b"mine")
    assert errors == f"zoomin: {mine}: exists, and holds no figures of an earlier evaluation; choose another --out\n"


def test_only_figures_need_matplotlib_and_a_folder(
    zoomin: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write_set(tmp_path, 4)
    write_records(tmp_path / "ours.jsonl", prediction_rows(rows, seed=1))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    command = ("evaluate", tmp_path / "records.jsonl", tmp_path / "ours.jsonl", "--out", tmp_path / "out")
    assert zoomin(*command)[0] == 0
    missing = "zoomin: figures need Matplotlib: pip install 'swift-zoomin[figures]'\n"
    assert zoomin(*command, "--figures")[::2] == (1, missing)
    assert zoomin(*command[:3], "--figures")[::2] == (1, "zoomin: --figures: nowhere to draw them; add --out FOLDER\n")


def test_letters_that_the_font_lacks_are_said(material: Material, tmp_path: Path) -> None:
    renamed = replace(material.methods[0], name="探测器")
    figures = {"探测器": material.figures["ZoomIn-32B"]}
    only = replace(material, methods=[renamed], figures=figures, by_regions={})
    notes = write_figures({"roc": roc_curves}, only, tmp_path, SIGNATURE)
    assert notes == ["roc.png shows boxes for letters that Matplotlib's font lacks; roc.svg holds them"]
    assert "探测器" in (tmp_path / "figures" / "roc.svg").read_text()
