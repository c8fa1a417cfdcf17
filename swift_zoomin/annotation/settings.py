"""Which model answers each step, where, and how boxes are written: what the command line says, checked."""

import argparse
import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import urlsplit

from swift_zoomin.annotation.keys import NO_KEY, Key, key_for
from swift_zoomin.annotation.sent import PATCH_PX, size_to_send
from swift_zoomin.annotation.steps import Step
from swift_zoomin.arguments import complain
from swift_zoomin.boxes import Size
from swift_zoomin.families import Frame, family_of
from swift_zoomin.records import RecordError

NO_MODEL = "none"  # as --filter-model: the rules alone filter


@dataclass(frozen=True)
class Model:
    """A model at an address."""

    name: str
    url: str
    key: Key


@dataclass(frozen=True)
class Settings:
    """What a run is to do, besides its images. Without a model for the filter there is none."""

    models: dict[Step, Model]
    ground_frame: Frame
    filter_frame: Frame | None  # None where the filter writes boxes as the grounding model does
    patches_px: dict[Step, int]  # of the family of each step's model
    max_pixels: int

    @property
    def has_filter(self) -> bool:
        return Step.FILTER in self.models

    def sizes_sent(self, size: Size) -> dict[Step, Size]:
        """In which size each step's model is shown an image of this one. Raises ImageError for one that is too thin."""
        return {step: size_to_send(size, patch_px, self.max_pixels) for step, patch_px in self.patches_px.items()}

    def signature(self) -> str:
        """Changes where results would be others; an address or a key makes no difference."""
        names = {step: model.name for step, model in self.models.items()}
        parts = [names, self.ground_frame, self.filter_frame, self.patches_px, self.max_pixels, version("swift-zoomin")]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def read_settings(options: argparse.Namespace) -> Settings:
    """Grounding is asked of the explaining model, and the filter of the grounding one, unless said otherwise.

    Raises RecordError.
    """
    explain = Model(options.explain_model, _checked_url(options.explain_url), key_for(Step.EXPLAIN))
    ground = _model(options.ground_model, options.ground_url, explain, Step.GROUND)
    models = {Step.EXPLAIN: explain, Step.GROUND: ground}
    if options.filter_model != NO_MODEL:
        models[Step.FILTER] = _model(options.filter_model, options.filter_url, ground, Step.FILTER)
    family = family_of(ground.name)
    if options.ground_frame:
        frame = Frame(options.ground_frame)
    elif family:
        frame = family.frame
    else:
        frames = " or ".join(Frame)
        raise RecordError(
            f"--ground-model {ground.name}: how it writes boxes is not known; set --ground-frame {frames}"
        )
    patches_px = {step: _patch_px(model) for step, model in models.items()}
    return Settings(models, frame, _filter_frame(models), patches_px, options.max_pixels)


def complain_if_untaught(ground_model: str) -> None:
    """Tell the user of a grounding model whose boxes cannot be relied on."""
    family = family_of(ground_model)
    if family and not family.is_taught:
        complain(
            f"--ground-model {ground_model} was not taught to write boxes, which will often be wrong; "
            "give one that was, as Qwen2.5-VL-72B-Instruct"
        )


def _model(name: str | None, url: str | None, default: Model, step: Step) -> Model:
    address = _checked_url(url) if url else default.url
    key = key_for(step)
    if key.value == NO_KEY and address == default.url:
        key = default.key  # the same server, most likely of the same account
    return Model(name or default.name, address, key)


def _patch_px(model: Model) -> int:
    family = family_of(model.name)
    return family.patch_px if family else PATCH_PX


def _filter_frame(models: dict[Step, Model]) -> Frame | None:
    if Step.FILTER not in models or models[Step.FILTER].name == models[Step.GROUND].name:
        return None
    family = family_of(models[Step.FILTER].name)
    return family.frame if family else None


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        shown = url.rpartition("@")[2].partition("?")[0]  # what stands around it may be a key
        raise RecordError(
            f"{shown}: no address; expected one like https://api.openai.com/v1 or http://localhost:8000/v1"
        )
    return url
