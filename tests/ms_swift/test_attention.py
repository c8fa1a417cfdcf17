"""Attention with real models: its ids are those that were sampled, its gradients are right, and a spot lights up."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from swift_zoomin.attention.explaining import Attention
from swift_zoomin.attention.gradients import PLAIN, Smoothing, heat_of_tokens
from swift_zoomin.attention.picture import Explained
from swift_zoomin.detection.detector import exchange, open_checkpoint
from swift_zoomin.detection.engine import Encoded, SwiftEngine
from swift_zoomin.episode import Conversation, Episode
from swift_zoomin.images import ImageRef
from swift_zoomin.records import RecordError
from swift_zoomin.replies import GENERATED, REAL, Reply, render_reply

FIRST = render_reply(Reply(REAL, [[14, 14, 70, 60]], ["sign"], "The sign is level."))
SECOND = f"<explanation>The threads melt.</explanation>\n<verdict>{GENERATED}</verdict>"


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def engine(request: pytest.FixtureRequest) -> Iterator[SwiftEngine]:
    """Of random weights, as they are or in float64."""
    folder: Path = request.getfixturevalue({"qwen2_5_vl": "model_dir", "qwen3_vl": "qwen3_vl_dir"}[request.param])
    made = SwiftEngine(open_checkpoint(str(folder)), "transformers", max_new_tokens=8)
    yield made
    made.close()


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)
    Image.fromarray(pixels).resize((160, 120), Image.Resampling.BICUBIC).save(path)
    return path


def conversation(engine: SwiftEngine, photo: Path, *replies: str) -> Conversation:
    """Up to the last of the replies, or the real exchange where there are none."""
    made = Conversation(Episode(ImageRef.of(photo).under(engine.limits)))
    if not replies:
        asyncio.run(exchange(engine, made))
    for reply in replies:
        made.ask()
        made.messages.append({"role": "assistant", "content": reply})
        made.episode.replies.append(reply)
    return made


def test_the_ids_are_those_that_were_asked_and_sampled(engine: SwiftEngine, photo: Path) -> None:
    """The likeliest token of one forward pass is at each place the one that was sampled there, token by token."""
    asked = conversation(engine, photo)
    encoded = engine.encoded(asked)
    assert encoded.reply_ids == asked.messages[-1]["content"]
    assert encoded.inputs["input_ids"][0].tolist()[-len(encoded.reply_ids) :] == encoded.reply_ids
    with torch.no_grad():
        logits = encoded.model(**encoded.inputs, logits_to_keep=len(encoded.reply_ids) + 1).logits[0]
    assert logits[:-1].argmax(-1).tolist() == encoded.reply_ids


def test_the_ids_are_those_of_training(engine: SwiftEngine, photo: Path) -> None:
    asked = conversation(engine, photo, FIRST, SECOND)
    ids = engine.encoded(asked).inputs["input_ids"][0].tolist()
    template = engine._transformers.template
    template.set_mode("train")
    taught = template.encode({"messages": asked.messages, "images": [str(image) for image in asked.images]})
    template.set_mode("transformers")
    assert taught["input_ids"][: len(ids)] == ids
    assert template.tokenizer.decode(taught["input_ids"][len(ids) :]) == "<|im_end|>\n"


def test_a_reply_as_text_has_the_same_prompt_before_it(engine: SwiftEngine, photo: Path) -> None:
    encoded = engine.encoded(conversation(engine, photo, FIRST, SECOND))
    tokenizer = encoded.tokenizer
    prompt = encoded.inputs["input_ids"][0].tolist()[: -len(encoded.reply_ids)]
    assert tokenizer.decode(encoded.reply_ids) == SECOND
    assert tokenizer.decode(prompt).count(FIRST) == 1
    assert tokenizer.decode(prompt).endswith("<|im_start|>assistant\n")


def test_replies_can_be_looked_into_before_anything_is_asked(qwen3_vl_dir: Path, photo: Path) -> None:
    """ms-swift gives its template the model with the first question."""
    engine = SwiftEngine(open_checkpoint(str(qwen3_vl_dir)), "transformers", max_new_tokens=8)
    explained = Attention(engine, smoothing=PLAIN).heat_of(str(photo), 1, replies=[FIRST])
    engine.close()
    assert [part.said for part in explained.heats[:2]] == [f"verdict: {REAL}", "1. sign"]


@contextmanager
def grown(encoded: Encoded, layer: int, token: int, by: float) -> Iterator[None]:
    """Inside, what comes into a layer for one image token, and what DeepStack adds behind it, is larger by a share."""
    decoder = encoded.model.get_decoder()
    [places] = (encoded.inputs["input_ids"][0] == encoded.model.config.image_token_id).nonzero(as_tuple=True)

    def grow(states: torch.Tensor, place: Any) -> torch.Tensor:
        changed = states.clone()
        changed[place] *= 1 + by
        return changed

    def grow_states(_: Any, args: Any, options: Any) -> Any:
        return (grow(args[0], (0, places[token])), *args[1:]), options

    def grow_features(_: Any, args: Any, options: Any) -> Any:
        features = options.get("deepstack_visual_embeds") or []
        larger = [grow(added, token) if place >= layer else added for place, added in enumerate(features)]
        return args, {**options, "deepstack_visual_embeds": larger} if features else options

    hooks = [
        decoder.register_forward_pre_hook(grow_features, with_kwargs=True),
        decoder.layers[layer].register_forward_pre_hook(grow_states, with_kwargs=True),
    ]
    yield
    for hook in hooks:
        hook.remove()


@contextmanager
def in_float64(model: Any) -> Iterator[None]:
    """Inside, a model computes in float64 from its first layer on, also its norms, which else turn to float32."""

    def norm(module: Any, states: torch.Tensor) -> torch.Tensor:
        scale = torch.rsqrt(states.pow(2).mean(-1, keepdim=True) + module.variance_epsilon)
        return module.weight * states * scale

    norms = [module for module in model.get_decoder().modules() if type(module).__name__.endswith("RMSNorm")]
    assert len(norms) >= 7
    model.double()
    for module in norms:
        module.forward = partial(norm, module)
    yield
    for module in norms:
        del module.forward
    model.float()


def logit(encoded: Encoded, tokens: list[int]) -> float:
    with torch.no_grad():
        logits = encoded.model(**encoded.inputs, logits_to_keep=len(encoded.reply_ids) + 1).logits[0]
    return float(sum(logits[place, encoded.reply_ids[place]] for place in tokens))


@pytest.mark.parametrize("layer", [0, 1])
def test_heat_is_what_finite_differences_give(engine: SwiftEngine, photo: Path, layer: int) -> None:
    encoded = engine.encoded(conversation(engine, photo, FIRST, SECOND))
    inputs = {**encoded.inputs, "pixel_values": encoded.inputs["pixel_values"].double()}
    encoded = replace(encoded, inputs=inputs)
    words, step = [[3], [2, 5, 6]], 1e-4
    with in_float64(encoded.model):
        heat = heat_of_tokens(encoded, words, layer, PLAIN)[:, ::3]
        expected = np.zeros(heat.shape)
        for place in range(heat.shape[1]):
            ends = []
            for by in (step, -step):
                with grown(encoded, layer, 3 * place, by):
                    ends.append([logit(encoded, tokens) for tokens in words])
            expected[:, place] = (np.array(ends[0]) - np.array(ends[1])) / (2 * step)
    assert heat == pytest.approx(expected.clip(min=0), rel=1e-5, abs=1e-8)
    assert (heat > 1e-4).sum() >= 3  # else nothing was compared
    assert (expected < -1e-4).any()  # and something was cut


def test_the_last_layer_has_next_to_no_heat(engine: SwiftEngine, photo: Path) -> None:
    """The reason for the default: what a layer reads is brought to one length, whatever the length of the states."""
    encoded = engine.encoded(conversation(engine, photo, FIRST, SECOND))
    first, last = (heat_of_tokens(encoded, [[3]], layer, PLAIN).sum() for layer in (0, 2))
    assert 0 <= last < 1e-3 * first


def test_a_layer_that_the_model_does_not_have_is_refused(engine: SwiftEngine, photo: Path) -> None:
    attention = Attention(engine, layer=3)
    with pytest.raises(RecordError, match=r"--layer 3; expected one of 0 to 2, the decoder layers of this model"):
        attention.heat_of(str(photo), replies=[FIRST, SECOND])


def test_a_reply_that_was_never_given_is_refused(engine: SwiftEngine, photo: Path) -> None:
    with pytest.raises(RecordError, match=r"photo\.png: no reply to query 2 \(it was not asked\)"):
        Attention(engine).heat_of(str(photo), query=2, replies=[FIRST])


def test_noise_is_the_same_each_time_and_changes_the_heat(engine: SwiftEngine, photo: Path) -> None:
    def heat(smoothing: Smoothing) -> np.ndarray:
        explained = Attention(engine, smoothing=smoothing).heat_of(str(photo), 2, replies=[FIRST, SECOND])
        return explained.heats[0].heat.laid_on((16, 12))

    smooth = heat(Smoothing(2, 0.1))
    assert (smooth == heat(Smoothing(2, 0.1))).all()
    assert not np.allclose(smooth, heat(PLAIN), rtol=1e-3)


def test_generation_in_another_thread_is_left_alone(engine: SwiftEngine, photo: Path) -> None:
    """An answer that is sampled in the middle of it is the same, and so is the heat."""
    before = conversation(engine, photo)
    alone = Attention(engine, smoothing=PLAIN).heat_of(str(photo), 1, replies=[FIRST]).heats[0].heat.laid_on((8, 6))
    meanwhile: list[Conversation] = []
    layer = engine.encoded(before).model.get_decoder().layers[2]

    def answer(*_: Any) -> None:
        if torch.is_grad_enabled() and not meanwhile:
            meanwhile.append(Conversation(Episode(before.episode.image)))
            asyncio.run(exchange(engine, meanwhile[0]))

    hook = layer.register_forward_hook(answer)
    heated = Attention(engine, smoothing=PLAIN).heat_of(str(photo), 1, replies=[FIRST]).heats[0].heat.laid_on((8, 6))
    hook.remove()
    assert meanwhile[0].messages == before.messages
    assert (heated == alone).all()


# ---- a model that says each word from what is bright


class Bright(torch.nn.Module):
    """As much of a decoder as is looked at: the state of an image token is how bright it is, and all logits its sum."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.layers = torch.nn.ModuleList([torch.nn.Identity()])

    def get_decoder(self) -> "Bright":
        return self

    def forward(self, input_ids: Any, pixel_values: Any, logits_to_keep: int, **_: Any) -> Any:
        is_image = input_ids[0] == self.config.image_token_id
        patches = pixel_values.reshape(int(is_image.sum()), -1)  # those of a token stand together
        states = torch.zeros(1, input_ids.shape[1], 1)
        states[0, is_image] = patches.clamp(min=0).mean(1, keepdim=True)  # black is below 0
        states = self.layers[0](states)
        return SimpleNamespace(logits=states.sum().expand(1, logits_to_keep, self.config.text_config.vocab_size))


def explained_by_brightness(engine: SwiftEngine, path: Path, query: int) -> Explained:
    def encoded(asked: Conversation) -> Encoded:
        real = engine.encoded(asked)
        return replace(real, model=Bright(real.model.config))

    looked_into: Any = SimpleNamespace(limits=engine.limits, encoded=encoded)
    return Attention(looked_into, smoothing=PLAIN).heat_of(str(path), query, replies=[first_reply(engine), SECOND])


def first_reply(engine: SwiftEngine) -> str:
    """Marks the upper left three quarters, in either frame."""
    size = 80 if engine.limits.family.name == "Qwen2.5-VL" else 750
    return render_reply(Reply(REAL, [[0, 0, size, size]], ["sign"], "The sign is level."))


def with_a_spot(path: Path, orientation: int) -> Image.Image:
    """A dark photograph of 300 x 200 stored pixels with a bright spot, saved to a path; what a person sees of it."""
    stored = Image.new("RGB", (300, 200))
    stored.paste("white", (20, 120, 50, 150))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(path, exif=exif)
    return ImageOps.exif_transpose(Image.open(path)).convert("L")


@pytest.mark.parametrize("query", [1, 2])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_planted_spot_lights_up_where_a_person_sees_it(
    engine: SwiftEngine, tmp_path: Path, orientation: int, query: int
) -> None:
    seen = with_a_spot(tmp_path / "photo.png", orientation)
    explained = explained_by_brightness(engine, tmp_path / "photo.png", query)
    assert explained.image.size == seen.size
    rows, columns = np.nonzero(np.asarray(seen))
    spot = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    for part in explained.heats:
        heat = part.heat.laid_on(seen.size)
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        # The hottest place is in a token that shows some of the spot, and a token of the whole is 1 of at least 3.
        side = max(seen.size) / 3
        assert spot[0] - side < column < spot[2] + side
        assert spot[1] - side < row < spot[3] + side
        mass = heat.sum()
        centre = np.array([heat.sum(1) @ np.arange(seen.height), heat.sum(0) @ np.arange(seen.width)]) / mass
        assert abs(centre[1] - (spot[0] + spot[2]) / 2) < side / 2
        assert abs(centre[0] - (spot[1] + spot[3]) / 2) < side / 2
