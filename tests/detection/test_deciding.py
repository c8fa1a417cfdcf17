"""What `zoomin detect` says beyond a verdict: sampled looks, a score, a decision, and what takes it back."""

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scripted_engine import answer

from swift_zoomin.boxes import PixelLimits
from swift_zoomin.calibrations import Calibration, as_json
from swift_zoomin.detection import Detector
from swift_zoomin.detection.calibration import calibrate
from swift_zoomin.detection.deciding import Deciding
from swift_zoomin.detection.score import shares
from swift_zoomin.detection.stability import seen_again
from swift_zoomin.episode import CHOOSERS, Answer, Conversation
from swift_zoomin.families import QWEN2_5_VL
from swift_zoomin.images import ImageError
from swift_zoomin.pictures import open_upright
from swift_zoomin.predictions import Outcome, Prediction, outcome
from swift_zoomin.records import write_records
from swift_zoomin.replies import GENERATED, REAL

Zoomin = Callable[..., tuple[int, str, str]]
NO_VERDICT = Answer("no tag at all", [7], False)
FIRST = answer(REAL, [0, 0, 28, 28])
CLEAR, HIDDEN = 200, 6  # brightness that outlives an encoding; and a level whose last bit does not


class SampledEngine:
    """Greedily as `greedy` says of a picture; a sampled answer is the one of its seed. Remembers what was asked."""

    limits = PixelLimits(4 * 784, 256 * 784, QWEN2_5_VL)

    def __init__(self, sampled: list[Answer | ImageError], greedy: Callable[[str], str] = lambda path: REAL) -> None:
        self.sampled, self.greedy = sampled, greedy
        self.asked: list[tuple[list[dict[str, Any]], int, float, int | None]] = []

    async def answer(
        self, conversation: Conversation, temperature: float = 0.0, seed: int | None = None
    ) -> Answer | ImageError:
        self.asked.append(([*conversation.messages], len(conversation.images), temperature, seed))
        if temperature:
            assert seed is not None
            return self.sampled[seed]
        if not conversation.episode.replies:
            return FIRST
        return answer(self.greedy(conversation.images[0].path))

    def close(self) -> None:
        raise AssertionError("closed, and not by its giver")


@pytest.fixture
def picture(tmp_path: Path) -> str:
    Image.new("RGB", (100, 80), "grey").save(tmp_path / "a.png")
    return str(tmp_path / "a.png")


def seen(engine: Any, path: str, deciding: Deciding, **more: Any) -> Prediction:
    (prediction,) = Detector(engine=engine, deciding=deciding, **more).detect([path])
    return prediction


def calibrated(samples: int = 4, made_by: str = "x") -> Calibration:
    """Of 120 images of each label: real ones have a share of 0 and generated ones of 1, but for a few each."""
    values = [0.0] * 115 + [0.5] * 5 + [1.0] * 115 + [0.5] * 5
    return calibrate(values, [REAL] * 120 + [GENERATED] * 120, samples, made_by)


def test_samples_ask_the_last_question_again_at_temperature_1_each_with_its_seed(picture: str) -> None:
    engine = SampledEngine([answer(GENERATED), answer(REAL), NO_VERDICT, answer(GENERATED)])
    prediction = seen(engine, picture, Deciding(samples=4))
    _, second, *sampled = engine.asked
    assert [(temperature, seed) for *_, temperature, seed in sampled] == [(1.0, 0), (1.0, 1), (1.0, 2), (1.0, 3)]
    for messages, images, _, _ in sampled:
        assert (messages, images) == second[:2]  # query 2 after the greedy first reply, and nothing after it
    assert second[2:] == (0.0, None)
    assert prediction["sampled_verdicts"] == [GENERATED, REAL, None, GENERATED]
    assert "score" not in prediction  # a share is none before it is calibrated
    assert (prediction["verdict"], len(prediction["replies"])) == (REAL, 2)
    assert "decision" not in prediction


def test_a_run_that_asks_for_no_more_has_no_further_fields(picture: str) -> None:
    engine = SampledEngine([])
    prediction = seen(engine, picture, Deciding())
    assert not {"score", "sampled_verdicts", "decision", "decision_reason"} & prediction.keys()
    assert len(engine.asked) == 2


def test_a_one_turn_question_is_sampled_itself(picture: str) -> None:
    engine = SampledEngine([answer(GENERATED)] * 2)
    prediction = seen(engine, picture, Deciding(samples=2), one_turn="ground")
    assert [len(messages) for messages, *_ in engine.asked] == [1, 1, 1]
    assert (prediction["verdict"], prediction["sampled_verdicts"]) == (REAL, [GENERATED] * 2)


def test_an_exchange_that_was_cut_has_no_score_and_no_decision(picture: str) -> None:
    class Cutting(SampledEngine):
        async def answer(self, conversation: Conversation, temperature: float = 0.0, seed: int | None = None) -> Answer:
            assert not temperature
            return answer(GENERATED, cut=True)

    calibration = calibrated()
    deciding = Deciding(4, calibration, calibration.limits[1])
    prediction = seen(Cutting([]), picture, deciding)
    assert (prediction["score"], prediction["sampled_verdicts"]) == (None, None)
    assert prediction["decision"] == "cannot tell"
    assert prediction["decision_reason"] == "nothing could be sampled: reply 1 was cut by the length limit"


FAILED = ImageError("the server: 503 busy")


def test_a_sample_that_fails_is_the_rows_error_and_the_image_is_tried_again(picture: str) -> None:
    calibration = calibrated(samples=2)
    sampled = [answer(GENERATED), FAILED]
    prediction = seen(SampledEngine(list(sampled)), picture, Deciding(2, calibration, calibration.limits[0]))
    assert (prediction["error"], prediction["verdict"]) == ("the server: 503 busy", REAL)
    assert outcome(prediction) == Outcome.UNREAD
    assert (prediction["score"], prediction["sampled_verdicts"]) == (None, None)
    assert prediction["decision"] == "cannot tell"
    assert prediction["decision_reason"] == "it could not be looked at again: the server: 503 busy"


def test_an_image_whose_sample_failed_has_its_samples_after_the_next_run(
    zoomin: Zoomin, engine: Any, picture: str
) -> None:
    folder = Path(picture).parent
    answers = [answer(REAL), answer(REAL), FAILED, answer(REAL)]  # both looks, and two samples
    engine.answer = lambda conversation: answers.pop(0)
    status, err, (row,) = run(zoomin, folder, "--samples", 2)
    assert (status, row["verdict"], row["sampled_verdicts"]) == (1, REAL, None)
    assert "the server: 503 busy" in err
    engine.answer = lambda conversation: answer(GENERATED)
    status, _, (row,) = run(zoomin, folder, "--samples", 2)
    assert (status, row["error"], row["verdict"]) == (0, None, GENERATED)
    assert row["sampled_verdicts"] == [GENERATED, GENERATED]


def test_an_image_that_cannot_be_read_has_the_fields_too(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"none")
    calibration = calibrated()
    prediction = seen(SampledEngine([]), str(tmp_path / "b.png"), Deciding(4, calibration, calibration.limits[1]))
    assert prediction["error"]
    assert (prediction["score"], prediction["sampled_verdicts"]) == (None, None)
    assert (prediction["decision"], prediction["decision_reason"]) == ("cannot tell", "the image could not be read")


@pytest.mark.parametrize(("generated", "expected"), [(0, REAL), (2, "cannot tell"), (4, GENERATED)])
def test_a_calibration_decides_by_the_share_and_leaves_the_verdict(picture: str, generated: int, expected: str) -> None:
    calibration = calibrated()
    sampled = [answer(GENERATED)] * generated + [answer(REAL)] * (4 - generated)
    prediction = seen(SampledEngine(list(sampled)), picture, Deciding(4, calibration, calibration.limits[0]))
    assert (prediction["decision"], prediction["verdict"]) == (expected, REAL)
    assert prediction["score"] == calibration.probabilities[2 * generated]
    assert (prediction["decision_reason"] is None) == (expected != "cannot tell")


def hidden_bit(path: str) -> str:
    """A model that sees brightness, and else whether every last bit is set, which no encoding but its own keeps."""
    pixels = np.asarray(open_upright(path))
    if pixels.mean() > CLEAR - 20:
        return GENERATED
    return GENERATED if (pixels & 1).mean() > 0.9 else REAL


def drawn(folder: Path, kind: str, seed: int) -> str:
    """A clear image of either label, or one whose label is a last bit that is set in every pixel."""
    rng = np.random.default_rng(seed)
    level = {"bright": CLEAR, "dark": HIDDEN, "planted": HIDDEN}[kind]
    pixels = rng.integers(level - 5, level + 50, (60, 80, 3), dtype=np.uint8)
    if kind == "planted":
        pixels |= 1
    Image.fromarray(pixels).save(folder / f"{kind}{seed}.png")
    return str(folder / f"{kind}{seed}.png")


def test_stable_flips_nothing_on_clear_images_and_catches_planted_flips(tmp_path: Path) -> None:
    kinds = ("bright", "dark", "planted")
    paths = [drawn(tmp_path, kind, seed) for kind in kinds for seed in range(10)]
    random.Random(0).shuffle(paths)
    detector = Detector(engine=SampledEngine([], hidden_bit), deciding=Deciding(is_stable_wanted=True))
    predictions = {Path(row["image"]).stem: row for row in detector.detect(paths)}
    for name, row in predictions.items():
        if name.startswith("planted"):
            assert (row["verdict"], row["decision"]) == (GENERATED, "cannot tell")
            assert row["decision_reason"] == "the verdict changes under jpeg90 and scale75"
        else:
            assert row["verdict"] == {"bright": GENERATED, "dark": REAL}[name[:-1]]
            assert (row["decision"], row["decision_reason"]) == (row["verdict"], None)
    assert len(predictions) == 30


class StableEngine(SampledEngine):
    """Sees the image and its re-encodings alike, but for the last look at the re-encoding of this name."""

    def __init__(self, name: str, last: Answer | ImageError) -> None:
        super().__init__([])
        self.name, self.last = name, last

    async def answer(
        self, conversation: Conversation, temperature: float = 0.0, seed: int | None = None
    ) -> Answer | ImageError:
        is_other = Path(conversation.images[0].path).parent.name == self.name
        return self.last if is_other and conversation.episode.replies else FIRST


def test_a_verdict_that_is_lost_by_an_encoding_is_not_kept(picture: str) -> None:
    prediction = seen(StableEngine("jpeg90", NO_VERDICT), picture, Deciding(is_stable_wanted=True))
    assert prediction["decision_reason"] == "the verdict changes under jpeg90"
    assert prediction["error"] is None


@pytest.mark.parametrize("name", ["jpeg90", "scale75"])
def test_a_look_at_a_re_encoding_that_fails_is_the_rows_error_and_no_flip(name: str, picture: str) -> None:
    prediction = seen(StableEngine(name, FAILED), picture, Deciding(is_stable_wanted=True))
    assert (prediction["verdict"], prediction["error"]) == (REAL, f"as {name}: the server: 503 busy")
    assert (prediction["decision"], outcome(prediction)) == ("cannot tell", Outcome.UNREAD)
    assert prediction["decision_reason"] == f"it could not be looked at again: as {name}: the server: 503 busy"


def test_an_image_too_thin_to_be_scaled_is_no_flip_and_says_so(tmp_path: Path) -> None:
    Image.new("RGB", (597, 3), "grey").save(tmp_path / "a.png")  # 199 to 1, and scaled 448 to 2
    prediction = seen(SampledEngine([]), str(tmp_path / "a.png"), Deciding(is_stable_wanted=True))
    assert (prediction["verdict"], prediction["error"], prediction["decision"]) == (REAL, None, "cannot tell")
    reason = "scale75 (448x2 pixels; expected an aspect ratio of at most 200)"
    assert prediction["decision_reason"] == f"it could not be looked at again as {reason}"


def test_an_image_that_no_jpeg_can_hold_is_looked_at_in_the_other_re_encoding(tmp_path: Path) -> None:
    looked: list[str] = []

    async def look(path: str) -> ImageError:
        looked.append(Path(path).parent.name)
        return ImageError(f"{path}: looked at")

    for side, fault in ((65_501, "a JPEG has sides of at most 65500 pixels"), (65_500, "looked at")):
        Image.new("RGB", (side, 1), "grey").save(tmp_path / "a.png")
        again = asyncio.run(seen_again(str(tmp_path / "a.png"), look))
        assert {name: str(one) for name, one in again.items()} == {"jpeg90": fault, "scale75": "looked at"}
    assert sorted(looked) == ["jpeg90", "scale75", "scale75"]


class WindowsEngine(SampledEngine):
    """Marks the same quarter of each image, and remembers by its folder what it is shown of it again."""

    def __init__(self) -> None:
        super().__init__([])
        self.windows: dict[str, list[int]] = {}

    async def answer(
        self, conversation: Conversation, temperature: float = 0.0, seed: int | None = None
    ) -> Answer | ImageError:
        image = conversation.images[0]
        if conversation.episode.replies:
            self.windows[Path(image.path).parent.name] = list(conversation.images[1].window or [])
        width, height = image.size_model
        return answer(REAL, [0, 0, width / 2, height / 2])


def test_random_regions_of_a_re_encoding_are_those_of_the_image(tmp_path: Path) -> None:
    Image.new("RGB", (1000, 700), "grey").save(tmp_path / "a.png")
    engine = WindowsEngine()
    seen(engine, str(tmp_path / "a.png"), Deciding(is_stable_wanted=True), choose=CHOOSERS["random"])
    of_image = np.array(engine.windows.pop(tmp_path.name))
    assert engine.windows.keys() == {"jpeg90", "scale75"}
    assert engine.windows["jpeg90"] == of_image.tolist()
    assert np.abs(np.array(engine.windows["scale75"]) - 0.75 * of_image).max() < 2


def test_re_encodings_are_looked_at_only_where_there_is_a_decision_to_lose(picture: str) -> None:
    calibration = calibrated()
    sampled = [answer(GENERATED), answer(REAL)] * 2
    engine = SampledEngine(list(sampled))
    prediction = seen(engine, picture, Deciding(4, calibration, calibration.limits[0], is_stable_wanted=True))
    assert prediction["decision_reason"].startswith("share 0.5 of sampled verdicts; generated is said from 0.625 on")
    assert len(engine.asked) == 2 + 4


@pytest.fixture
def sampling(engine: SimpleNamespace) -> SimpleNamespace:
    """The scripted engine of the command, sampling as it answers."""
    return engine


def run(zoomin: Zoomin, folder: Path, *options: object, out: str = "p.jsonl") -> tuple[int, str, list[dict[str, Any]]]:
    status, _, err = zoomin("detect", folder / "a.png", "--model", "hub/none", "--out", folder / out, *options)
    lines = (folder / out).read_text().splitlines() if (folder / out).exists() else []
    return status, err, [json.loads(line) for line in lines]


def calibration_file(zoomin: Zoomin, folder: Path) -> Path:
    """Made from what the command itself wrote of 120 images, whose verdicts the file then makes right or wrong."""
    _, _, (row,) = run(zoomin, folder, "--samples", 4, out="first.jsonl")
    (folder / "first.jsonl").unlink()
    records, rows = [], []
    for number, value in enumerate([0, 4] * 120):
        name = f"{number}.png"
        (folder / name).write_bytes((folder / "a.png").read_bytes())
        records.append({"image": name, "label": (REAL, GENERATED)[number % 2]})
        rows.append({**row, "image": name, "sampled_verdicts": [GENERATED] * value + [REAL] * (4 - value)})
    write_records(folder / "r.jsonl", records)
    write_records(folder / "held_out.jsonl", rows)
    status, _, err = zoomin("calibrate", folder / "r.jsonl", folder / "held_out.jsonl", "--out", folder / "c.json")
    assert (status, err) == (0, "")
    return folder / "c.json"


def test_the_command_calibrates_what_it_sampled_and_decides(zoomin: Zoomin, engine: Any, picture: str) -> None:
    folder = Path(picture).parent
    calibration = calibration_file(zoomin, folder)
    status, err, (row,) = run(zoomin, folder, "--calibration", calibration, "--false-alarms", "0.05", "--stable")
    assert (status, err) == (0, "")
    assert row["sampled_verdicts"] == [GENERATED] * 4  # as many as were calibrated
    assert row["score"] > 0.9
    assert row["decision"] == GENERATED
    assert row["made_by"].count("|samples 4 at temperature 1.0|calibration ") == 1
    assert row["made_by"].endswith(" at 0.05|stable jpeg90, scale75")


def test_predictions_decided_otherwise_are_not_mixed(zoomin: Zoomin, engine: Any, picture: str) -> None:
    folder = Path(picture).parent
    calibration = calibration_file(zoomin, folder)
    run(zoomin, folder, "--calibration", calibration)
    status, err, _ = run(zoomin, folder, "--calibration", calibration, "--false-alarms", "0.05")
    assert status == 1
    assert "choose another --out" in err


@pytest.mark.parametrize(
    "options",
    [("--samples", "8"), ("--regions", "largest-3"), ("--max-new-tokens", "5")],
)
def test_a_calibration_of_other_settings_is_refused(
    options: tuple[str, str], zoomin: Zoomin, engine: Any, picture: str
) -> None:
    folder = Path(picture).parent
    calibration = calibration_file(zoomin, folder)
    made = engine.made
    status, err, rows = run(zoomin, folder, "--calibration", calibration, *options)
    assert (status, rows, engine.made) == (1, [], made)
    assert err.startswith(f"zoomin: {calibration}: calibrated on predictions made by model none")
    assert "calibrate on predictions of this model with these settings" in err


def test_a_calibration_of_another_model_is_refused(zoomin: Zoomin, engine: Any, picture: str) -> None:
    folder = Path(picture).parent
    (folder / "c.json").write_text(as_json(calibrated(made_by="model other")))
    status, err, _ = run(zoomin, folder, "--calibration", folder / "c.json")
    assert status == 1
    assert "calibrated on predictions made by model other; this is model none" in err


def test_a_rate_that_was_not_calibrated_is_refused_by_the_parser(zoomin: Zoomin, engine: Any, picture: str) -> None:
    status, err, _ = run(zoomin, Path(picture).parent, "--calibration", "c.json", "--false-alarms", "0.02")
    assert status == 2
    assert "0.01, 0.05" in err


def test_a_calibration_that_promises_nothing_says_so_before_the_run(zoomin: Zoomin, engine: Any, picture: str) -> None:
    folder = Path(picture).parent
    made = json.loads(calibration_file(zoomin, folder).read_text())["made_by"]
    half = shares(4)[4]
    useless = calibrate([half] * 120, [REAL, GENERATED] * 60, 4, made)
    (folder / "c.json").write_text(as_json(useless))
    status, err, (row,) = run(zoomin, folder, "--calibration", folder / "c.json")
    assert (status, row["decision"]) == (0, "cannot tell")
    assert "c.json: the samples tell real from generated no better than chance" in err
