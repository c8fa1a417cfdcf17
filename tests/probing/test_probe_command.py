"""`zoomin probe`, run as a user runs it, with an engine that answers by what it is shown."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_commands import REPLY, make_images, rows

from swift_zoomin.episode import Answer, Conversation
from swift_zoomin.images import ImageError
from swift_zoomin.probes import Probe, ProbedRegion, read_probes
from swift_zoomin.probing.command import as_text, take_settings
from swift_zoomin.replies import GENERATED, REAL, Reply, render_reply

Zoomin = Callable[..., tuple[int, str, str]]


def by_close_up(conversation: Conversation) -> Answer | ImageError:
    """ "generated" by a close-up of the file itself, "real" by a blurred one or by none."""
    if not conversation.episode.replies:
        return Answer(REPLY, [1], False)
    close_ups = [shown.path for shown in conversation.images[1:]]
    verdict = GENERATED if close_ups == [conversation.episode.image.path] else REAL
    return Answer(render_reply(Reply(verdict, explanation="It is so.")), [2], False)


@pytest.fixture
def data(tmp_path: Path, engine: Any) -> Path:
    engine.answer = by_close_up
    return make_images(tmp_path / "data")


@pytest.fixture
def predictions(zoomin: Zoomin, data: Path) -> Path:
    return detected(zoomin, data)


def detected(zoomin: Zoomin, data: Path, *options: object, name: str = "predictions.jsonl") -> Path:
    code, _, err = zoomin("detect", data / "records.jsonl", "--model", "hub/m", "--out", data / name, *options)
    assert code == 0, err
    return data / name


def probe(zoomin: Zoomin, predictions: Path, *options: object, model: str = "hub/m") -> tuple[int, str, str]:
    out = predictions.parent.parent / "probes.jsonl"
    return zoomin("probe", predictions, "--model", model, "--samples", 4, "--out", out, *options)


def test_a_verdict_that_rests_on_its_region_is_told_as_such(zoomin: Zoomin, predictions: Path, tmp_path: Path) -> None:
    code, out, err = probe(zoomin, predictions)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "3 images: 3 probed",
        'a region hidden  changes the share of "generated" by 1.000 (mean of 3 regions)',
        "a random one     by 0.000 (of the same size)",
        "ratio            infinite: no random one changes anything",
        "faithfulness     1.000 (95%: 0.439..1.000): 3 of 3 verdicts fall with what was marked, 0 with random regions",
    ]
    assert sorted(row["image"] for row in rows(tmp_path / "probes.jsonl")) == [f"data/{name}.png" for name in "abc"]
    assert all(found.depends for found in read_probes(tmp_path / "probes.jsonl").values())


def test_a_verdict_that_copies_the_first_one_is_told_as_such(zoomin: Zoomin, predictions: Path, engine: Any) -> None:
    engine.answer = lambda conversation: Answer(REPLY, [1], False)
    code, out, _ = probe(zoomin, predictions)
    assert code == 0
    assert "ratio            none: neither changes anything\nfaithfulness     0.000 " in out


def test_a_second_run_goes_on_and_loads_nothing_where_all_is_done(
    zoomin: Zoomin, predictions: Path, engine: Any, tmp_path: Path
) -> None:
    probe(zoomin, predictions)
    made, whole = engine.made, (tmp_path / "probes.jsonl").read_bytes()
    (tmp_path / "probes.jsonl").write_bytes(whole[:-40])  # killed while it wrote the last row
    code, out, _ = probe(zoomin, predictions)
    assert (code, engine.made, engine.closed) == (0, made + 1, made + 1)
    assert f"{tmp_path}/probes.jsonl: 2 images done already\n3 images: 3 probed" in out
    assert (tmp_path / "probes.jsonl").read_bytes() == whole
    code, out, _ = probe(zoomin, predictions)
    assert (code, engine.made) == (0, made + 1)
    assert "3 images done already" in out


def test_settings_come_from_the_predictions(zoomin: Zoomin, data: Path) -> None:
    settings = ("--regions", "largest-3", "--max-new-tokens", 77, "--samples", 2)
    code, _, err = probe(zoomin, detected(zoomin, data, *settings))
    assert (code, err) == (0, "")
    (made_by,) = {row["made_by"] for row in rows(data.parent / "probes.jsonl")}
    assert "|regions largest-3|" in made_by
    assert "|tokens 77|" in made_by
    assert made_by.endswith("|close-ups blurred|samples 4 at temperature 1.0")


def test_predictions_in_parquet_are_probed_alike(zoomin: Zoomin, data: Path) -> None:
    code, out, _ = probe(zoomin, detected(zoomin, data, name="p.parquet"))
    assert code == 0
    assert "3 of 3 verdicts fall" in out


def test_what_is_asked_otherwise_is_not_mixed(zoomin: Zoomin, predictions: Path, tmp_path: Path) -> None:
    probe(zoomin, predictions)
    code, _, err = probe(zoomin, predictions, "--leave-out")
    assert code == 1
    assert f"zoomin: {tmp_path}/probes.jsonl: holds probes made by model " in err
    assert "|close-ups left out|samples 4 at temperature 1.0; choose another --out\n" in err


def test_another_file_is_not_written_to(zoomin: Zoomin, predictions: Path) -> None:
    before = predictions.read_bytes()
    code, _, err = zoomin("probe", predictions, "--model", "hub/m", "--out", predictions)
    assert code == 1
    assert f"{predictions}: no file of probes to go on with ({predictions}:1: field 'share' is missing" in err
    assert predictions.read_bytes() == before


def test_another_model_is_refused_before_it_is_loaded(zoomin: Zoomin, predictions: Path, engine: Any) -> None:
    made = engine.made
    code, _, err = probe(zoomin, predictions, model="hub/other")
    assert (code, engine.made) == (1, made)
    assert err.startswith(f"zoomin: {predictions}: made by model m (weights ")
    assert "; --model hub/other is model other (weights " in err
    assert err.endswith("; give the model that made them, and the same MAX_PIXELS\n")


def test_a_served_models_name_may_hold_what_settings_look_like() -> None:
    options = argparse.Namespace(predictions=Path("p.jsonl"))
    settings = "|regions largest-3|pixels 3136-12544|tokens 77|prompts 04feac84|zoomin 0.1.0"
    rows = [{"made_by": f"model a|verdict|regions first|b{settings}{more}"} for more in ("", "|samples 4")]
    take_settings(options, {Path(str(place)): row for place, row in enumerate(rows)})
    assert (options.regions, options.max_new_tokens) == ("largest-3", 77)


def test_predictions_of_one_look_are_refused(zoomin: Zoomin, data: Path) -> None:
    code, _, err = probe(zoomin, detected(zoomin, data, "--one-turn", "ground"))
    assert code == 1
    assert "made with --one-turn, by model m (weights " in err
    assert err.endswith("; there is no second look to probe\n")


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([], "no prediction in it"),
        ([{}], "made by nobody; expected predictions as zoomin detect writes them"),
        ([{"made_by": "yolo"}], "made by yolo; expected predictions as zoomin detect writes them"),
        ([{"made_by": "m|regions first|tokens many"}], "made by m|regions first|tokens many; expected predictions as"),
        ([{"made_by": "x"}, {"made_by": "y"}], "made by x and by y; expected one model and its settings"),
    ],
)
def test_other_predictions_are_refused(zoomin: Zoomin, data: Path, rows: list[dict[str, Any]], fault: str) -> None:
    lines = [{"image": f"{index}.png", "verdict": "real", **row} for index, row in enumerate(rows)]
    (data / "other.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, _, err = probe(zoomin, data / "other.jsonl")
    assert code == 1
    assert err.startswith(f"zoomin: {data}/other.jsonl: {fault}")


def test_an_image_that_has_gone_is_told_and_tried_again(zoomin: Zoomin, predictions: Path, data: Path) -> None:
    content = (data / "b.png").read_bytes()
    (data / "b.png").unlink()
    code, out, _ = probe(zoomin, predictions)
    assert code == 3
    assert f"3 images: 2 probed, 1 not probed; the first: {data}/b.png: no such image file\n" in out
    (data / "b.png").write_bytes(content)
    code, out, _ = probe(zoomin, predictions)
    assert code == 0
    assert "2 images done already\n3 images: 3 probed\n" in out
    assert len(rows(data.parent / "probes.jsonl")) == 3


def test_predictions_without_a_second_look_load_no_model(
    zoomin: Zoomin, predictions: Path, engine: Any, data: Path
) -> None:
    failed = [{**row, "replies": [], "error": "a.png: damaged", "verdict": None} for row in rows(predictions)]
    predictions.write_text("".join(json.dumps(row) + "\n" for row in failed))
    made = engine.made
    code, out, _ = probe(zoomin, predictions)
    assert (code, engine.made) == (1, made)
    assert out == "3 images: 0 probed, 3 not probed; the first: there was no second look: a.png: damaged\n"


def test_images_without_a_region_are_counted_and_cost_nothing(zoomin: Zoomin, data: Path, engine: Any) -> None:
    none = render_reply(Reply(REAL, explanation="Nothing stands out."))
    engine.answer = lambda conversation: Answer(none, [1], False)
    code, out, _ = probe(zoomin, detected(zoomin, data))
    assert (code, out) == (0, "3 images: 0 probed, 3 without a region\n")


def test_what_is_told_says_how_sure_it_is() -> None:
    told = as_text([probed(0.0), probed(0.0), probed(0.0), probed(0.5), Probe("b.png", error="b.png: no\nsuch")])
    assert told == [
        "5 images: 4 probed, 1 not probed; the first: 'b.png: no\\nsuch'",
        'a region hidden  changes the share of "generated" by 1.000 (mean of 4 regions)',
        "a random one     by 0.125 (of the same size; 4 of them overlap a marked one)",
        "ratio            8.0 (95%: 2.7 or more)",
        "faithfulness     1.000 (95%: 0.510..1.000): 4 of 4 verdicts fall with what was marked, 1 with random regions",
    ]


def probed(random_change: float) -> Probe:
    """Of a verdict "real" that turns round with its region."""
    region = ProbedRegion([0, 0, 30, 30], 1.0, [20, 20, 50, 50], random_change)
    return Probe("a.png", 0.0, [region], 1.0, random_change)


def test_options_of_an_endpoint_without_one_are_refused(zoomin: Zoomin, predictions: Path) -> None:
    code, _, err = probe(zoomin, predictions, "--url", "http://localhost:8000/v1")
    assert code == 1
    assert err == "zoomin: --url, --frame and --timeout are about --engine endpoint; leave them out, or set that\n"
