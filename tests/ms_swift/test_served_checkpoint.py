"""A checkpoint behind `swift deploy`, asked by the engine `endpoint`: it sees the tokens and pixels of its training."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import LIMITS
from deployed import deployed
from detailing_proxy import detailed
from PIL import Image
from swift.infer_engine import InferRequest
from swift.model import get_processor
from swift.template import get_template

import swift_zoomin.register.swift_zoomin_register  # noqa: F401
from swift_zoomin.detection import Detector
from swift_zoomin.detection.endpoint import EndpointEngine
from swift_zoomin.episode import Answer, Conversation, Episode
from swift_zoomin.images import ImageRef
from swift_zoomin.predictions import Prediction
from swift_zoomin.records import read_records
from swift_zoomin.served.keys import Key
from swift_zoomin.served.models import Model

ODD_SIZES = [(1000, 700), (40, 400), (30, 30), (700, 1000)]
MAX_NEW_TOKENS = 100


@dataclass
class Look:
    """One image's exchange: its prediction, and what the server said of each question, with the ids on both sides."""

    prediction: Prediction
    answers: list[dict[str, Any]]

    def conversation(self, turn: int) -> Conversation:
        """As it stood when this question (1 or 2) was asked, with references in place of pictures."""
        image = ImageRef.of(Path(self.prediction["image"])).under(LIMITS)
        conversation = Conversation(Episode(image))
        conversation.ask()
        for reply in self.prediction["replies"][: turn - 1]:
            conversation.take(Answer(reply, [], False))
            conversation.messages[-1]["content"] = reply
            conversation.ask()
        return conversation


@pytest.fixture(scope="module")
def images(benchmark_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The test images, and noise of shapes and sizes that the model has never seen, some of it on its side."""
    folder = tmp_path_factory.mktemp("odd")
    for number, size in enumerate(ODD_SIZES):
        exif = Image.Exif()
        exif[0x0112] = 6 if number % 2 else 1
        Image.effect_noise(size, 90).convert("RGB").save(folder / f"{number}.jpg", exif=exif)
    records = read_records(benchmark_dir / "test/records.jsonl")
    return [*(record.image.path for record in records), *map(str, sorted(folder.iterdir()))]


@pytest.fixture(scope="module")
def looks(trained_dir: Path, images: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Look]]:
    log = tmp_path_factory.mktemp("server") / "deploy.log"
    with deployed(trained_dir, log) as server, detailed(server) as (url, answers):
        engine = EndpointEngine(Model("tiny", url, Key("none", "")), LIMITS, MAX_NEW_TOKENS, 600, 0)
        looks = []
        for prediction in Detector(engine=engine, concurrency=1).detect(images):
            looks.append(Look(prediction, answers[-len(prediction["replies"]) :]))
        engine.close()
        yield looks


@pytest.fixture(scope="module")
def template(trained_dir: Path) -> Any:
    processor = get_processor(str(trained_dir), model_type="qwen2_5_vl")
    return get_template(processor, template_type="zoomin")


def test_every_image_is_looked_at_twice_and_close_ups_are_among_what_is_compared(looks: list[Look]) -> None:
    assert [len(look.prediction["replies"]) for look in looks[: -len(ODD_SIZES)]] == [2] * 8
    assert max(len(look.conversation(2).images) for look in looks[: -len(ODD_SIZES)]) > 1


def test_the_server_is_given_the_token_ids_of_training(looks: list[Look], template: Any) -> None:
    template.set_mode("train")
    for look in looks:
        for turn, answer in enumerate(look.answers, 1):
            conversation = look.conversation(turn)
            messages = [*conversation.messages, {"role": "assistant", "content": "<verdict>real</verdict>"}]
            row = {"messages": messages, "images": [{"path": str(image)} for image in conversation.images]}
            ids = answer["prompt_token_ids"]
            assert template.encode(row)["input_ids"][: len(ids)] == ids
            assert answer["usage"]["prompt_tokens"] == len(ids)


def test_the_server_sees_the_pixels_of_training(looks: list[Look], template: Any) -> None:
    template.set_mode("transformers")
    for look in looks:
        for turn, answer in enumerate(look.answers, 1):
            sent = template.encode(InferRequest(messages=answer["messages"]))
            conversation = look.conversation(turn)
            references = [str(image) for image in conversation.images]
            ours = template.encode(InferRequest(messages=conversation.messages, images=references))
            assert torch.equal(sent["pixel_values"], ours["pixel_values"])
            assert torch.equal(sent["image_grid_thw"], ours["image_grid_thw"])


def test_the_replies_are_those_of_the_engine_in_this_process(looks: list[Look], trained_dir: Path) -> None:
    images = [look.prediction["image"] for look in looks[: -len(ODD_SIZES)]]
    detector = Detector(str(trained_dir), max_new_tokens=MAX_NEW_TOKENS)
    here = {prediction["image"]: prediction["replies"] for prediction in detector.detect(images)}
    detector.close()
    assert here == {look.prediction["image"]: look.prediction["replies"] for look in looks[: -len(ODD_SIZES)]}
