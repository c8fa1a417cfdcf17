"""What an answer depends on besides the image, and how it travels with the weights.

A trained folder says it in the processor's own configuration, where transformers and vLLM read the limits too:

    processor_config.json   "image_processor": {"size": {"shortest_edge": 3136, "longest_edge": 261856},
                                                "zoomin": {"prompts": "1a2b3c4d", "family": "Qwen2.5-VL"}, ...}

A LoRA adapter has no processor, and merging takes the base model's; what ms-swift carries along in both is args.json:

    args.json               "zoomin": {"min_pixels": 3136, "max_pixels": 261856, "prompts": "1a2b3c4d",
                                       "family": "Qwen2.5-VL"}, ...

Of which family a model is, `model_type` in its config.json says. Where a folder says that it was trained as one of
another family, it is refused.

The environment (MAX_PIXELS, MIN_PIXELS, or ms-swift's IMAGE_MAX_TOKEN_NUM, IMAGE_MIN_TOKEN_NUM) wins over both, and
where it differs from what a folder was trained with, that is said.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swift_zoomin import prompts
from swift_zoomin.boxes import PixelLimits
from swift_zoomin.families import QWEN2_5_VL, TRAINED, Family, family_of, family_of_type, trained_types

MARK = "zoomin"  # the key under which a folder says what it was trained with
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "adapter_model*.bin")
# What else shapes an answer: tokens, the pictures' colours, how a reply is sampled, and what args.json says.
_BESIDE = ("config.json", "generation_config.json", "*processor_config.json", "tokenizer*", "vocab.json", "merges.txt")
_ASKED_WITH = ("system", "response_prefix", "agent_template", "use_chat_template")
_SAMPLE_BYTES, _SAMPLES = 1 << 14, 1 << 10  # 16 MB a file; a smaller one is read whole
_HUB_EXAMPLE = "Qwen/Qwen2.5-VL-7B-Instruct"
_EXPERTS = re.compile(r"-A\d+B\b", re.IGNORECASE)  # Qwen3-VL-30B-A3B: of so many parameters, so many are active
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_OTHER_KIND = re.compile(r"omni|embedding|reranker", re.IGNORECASE)  # named after a family, and not trained as it is


def _tokens_by_hand() -> frozenset[str]:
    """The numbers of tokens that the environment or --model_kwargs gives."""
    arguments = " ".join(sys.argv).upper()
    names = ("IMAGE_MIN_TOKEN_NUM", "IMAGE_MAX_TOKEN_NUM")
    return frozenset(name for name in names if os.environ.get(name) or name in arguments)


_BY_HAND = _tokens_by_hand()  # asked here, before ms-swift loads a model and leaves numbers of its own


def limits_of_tokens(fewest: int, most: int, family: Family) -> PixelLimits:
    """Limits in image tokens of a family."""
    return PixelLimits(fewest * family.patch_px**2, most * family.patch_px**2, family)


def published_limits(family: Family) -> PixelLimits:
    """What holds where nothing is said: qwen-vl-utils' own."""
    return limits_of_tokens(4, 16384, family)


QWEN_LIMITS = published_limits(QWEN2_5_VL)


class CheckpointError(ValueError):
    """A model folder that cannot be used; the message names it and says what was expected."""


@dataclass(frozen=True)
class Settings:
    """What a model was trained with; `prompts` is None where the folder does not say (a model as published)."""

    limits: PixelLimits
    prompts: str | None = None

    def mark(self) -> dict[str, Any]:
        """What an adapter's args.json says under MARK; `read_settings` reads it."""
        limits = self.limits
        pixels = {"min_pixels": limits.min_pixels, "max_pixels": limits.max_pixels}
        return {**pixels, "prompts": self.prompts, "family": limits.family.name}


@dataclass(frozen=True)
class Checkpoint:
    """A model folder. `base` is the folder or name of the model that a LoRA adapter belongs to, else None.

    `model_type` is that of config.json, and of ms-swift.
    """

    folder: Path
    model_type: str
    settings: Settings
    base: str | None = None

    @property
    def folders(self) -> list[Path]:
        """Where its files are: the folder, and below an adapter the base model's, where that is one."""
        if self.base and Path(self.base).is_dir():
            return [self.folder, Path(self.base)]
        return [self.folder]

    @property
    def tuned_in(self) -> Path | None:
        """Of these folders the one whose args.json ms-swift wrote; other programs have files of that name too."""
        tuned = (folder for folder in self.folders if "swift_version" in _read_json(folder / "args.json"))
        return next(tuned, None)

    def name_with_hash(self) -> str:
        """The folder's own name and what is in it, wherever it lies: `checkpoint-30 (weights 1a2b3c4d5e6f)`.

        Reads its weights, which takes a while: ask once.
        """
        return f"{self.folder.name} (weights {self._fingerprint()})"

    def _fingerprint(self) -> str:
        """A hash of the weights and of what shapes an answer beside them.

        Of each file its name, its size and its content; of a large one samples all over. Training changes nearly every
        number, or at least whole layers; reading 60 GB to be sure would take minutes.
        """
        digest = hashlib.sha256()
        for folder in self.folders:
            for file in [*weight_files(folder), *_files(folder, _BESIDE)]:
                size = file.stat().st_size
                digest.update(f"{file.name}\0{size}\0".encode())
                for sample in _samples(file, size):
                    digest.update(sample)
        digest.update(json.dumps(self._told(), sort_keys=True).encode())
        return digest.hexdigest()[:12]

    def _told(self) -> list[dict[str, Any]]:
        """What an adapter's and ms-swift's own configuration say, but for where something lies."""
        adapter = _read_json(self.folder / "adapter_config.json")
        adapter.pop("base_model_name_or_path", None)
        arguments = _read_json(self.tuned_in / "args.json") if self.tuned_in else {}
        return [adapter, {name: arguments.get(name) for name in _ASKED_WITH}]


def _samples(file: Path, size: int) -> Iterator[bytes]:
    """Pieces of a file at equal distances, which are all of a small one."""
    step = max(_SAMPLE_BYTES, size // _SAMPLES)
    with file.open("rb") as content:
        for start in range(0, size, step):
            content.seek(start)
            yield content.read(_SAMPLE_BYTES)


def weight_files(folder: Path) -> list[Path]:
    return _files(folder, _WEIGHTS)


def _files(folder: Path, patterns: Sequence[str]) -> list[Path]:
    return sorted(file for pattern in patterns for file in folder.glob(pattern) if file.is_file())


def is_hub_name(model: str) -> bool:
    """Whether a model is named as on a hub, `Qwen/Qwen2.5-VL-7B-Instruct`, and nothing here has that path."""
    return bool(_HUB_NAME.fullmatch(model)) and not Path(model.split("/")[0]).exists()


def read_checkpoint(folder: Path | str) -> Checkpoint:
    """Look at a model folder or a LoRA adapter before anything is loaded. Raises CheckpointError."""
    name, folder = folder, Path(folder).absolute()
    if not folder.is_dir():
        raise CheckpointError(f"{name}: no such model folder; expected one, or a hub's name like {_HUB_EXAMPLE}")
    adapter = _read_json(folder / "adapter_config.json")
    if adapter:
        base = _base_of(name, adapter)
        model_type, family = _family_in(base)
        settings = read_settings(folder, family)
        if settings.prompts is None:  # an adapter that says nothing was trained as its base model was
            settings = read_settings(base, family)
        return Checkpoint(folder, model_type, settings, base)
    model_type, family = _family_in(name)
    return Checkpoint(folder, model_type, read_settings(folder, family))


def _base_of(folder: Path | str, adapter: dict[str, Any]) -> str:
    base = adapter.get("base_model_name_or_path")
    if not base or not isinstance(base, str) or not Path(base).is_dir():
        raise CheckpointError(
            f"{folder}: a LoRA adapter of {base or 'an unknown model'}, which is no folder here; put the model there, "
            f"or merge the two where it is: swift export --adapters {folder} --merge_lora true"
        )
    return base


def _family_in(folder: Path | str) -> tuple[str, Family]:
    """The model type of a folder, and its family. Raises CheckpointError for one that is not trained or run here."""
    config = _read_json(Path(folder) / "config.json")
    if not config:
        checkpoints = sorted(Path(folder).glob("checkpoint-*"), key=lambda path: path.stat().st_mtime)
        hint = f"; did you mean {checkpoints[-1]}?" if checkpoints else ""
        raise CheckpointError(f"{folder}: holds no model (no config.json, no adapter_config.json){hint}")
    model_type = config.get("model_type")
    family = family_of_type(model_type)
    if family is None:
        raise CheckpointError(f"{folder}: a model of type {model_type}; expected one of {trained_types()}")
    return str(model_type), family


def model_type_of(model: str) -> str | None:
    """The model type of a folder, of a LoRA adapter's base, or of a hub's name; None where it cannot be known.

    Raises CheckpointError for a model that is not trained or run here.
    """
    if Path(model).is_dir():
        base = _read_json(Path(model) / "adapter_config.json").get("base_model_name_or_path")
        return model_type_of(base) if isinstance(base, str) and base != model else _family_in(model)[0]
    family = family_of(model)
    if family is None:
        return None
    if not family.model_types:
        raise CheckpointError(f"{model}: a {family.name}; expected one of {trained_types()}")
    other = _OTHER_KIND.search(model.rpartition("/")[2])
    if other:
        raise CheckpointError(f"{model}: of the kind {other[0]}; expected one of {trained_types()}")
    dense, *experts = family.model_types
    return experts[0] if experts and _EXPERTS.search(model) else dense


def is_of_other_family(folder: Path | str) -> bool:
    """Whether a folder, or an adapter's base, holds a model that is not trained or run here. Raises CheckpointError."""
    base = _read_json(Path(folder) / "adapter_config.json").get("base_model_name_or_path") or folder
    model_type = _read_json(Path(base) / "config.json").get("model_type")
    return model_type is not None and family_of_type(model_type) is None


def trained_max_pixels(folder: Path | str) -> int | None:
    """The MAX_PIXELS that a folder says it was trained with; None where it does not say. Raises CheckpointError."""
    kept = _kept(Path(folder))
    if kept.prompts is None or not kept.highest:
        return None
    _check_numbers(kept.file, kept.lowest or kept.highest, kept.highest)
    return int(kept.highest)


def read_settings(folder: Path | str, family: Family) -> Settings:
    """What a folder says that a model of this family was trained with; its published limits where it says nothing.

    Raises CheckpointError, also where it was trained as one of another family.
    """
    kept = _kept(Path(folder))
    if kept.family not in (None, family.name):
        fault = f"trained as a {kept.family}, which writes boxes otherwise; its model is a {family.name}"
        raise CheckpointError(f"{folder}: {fault}; expected the model that it was trained from")
    published = published_limits(family)
    lowest, highest = kept.lowest or published.min_pixels, kept.highest or published.max_pixels
    return Settings(_limits(kept.file, lowest, highest, family), kept.prompts)


@dataclass(frozen=True)
class _Kept:
    """What a folder's files say, as it stands there. Without a family in them, a training was one of Qwen2.5-VL."""

    file: Path
    lowest: Any
    highest: Any
    prompts: str | None = None
    family: str | None = None


def _kept(folder: Path) -> _Kept:
    kept = _read_json(folder / "args.json").get(MARK)
    if isinstance(kept, dict):
        file = folder / "args.json"
        return _Kept(file, kept.get("min_pixels", "none"), kept.get("max_pixels", "none"), *_training(kept))
    file = folder / "processor_config.json"
    processor = _read_json(file).get("image_processor")
    if not isinstance(processor, dict):
        file = folder / "preprocessor_config.json"
        processor = _read_json(file)
    size = processor.get("size")
    edges = size if isinstance(size, dict) else {}
    lowest = processor.get("min_pixels") or edges.get("shortest_edge")
    highest = processor.get("max_pixels") or edges.get("longest_edge")
    mark = processor.get(MARK)
    if not isinstance(mark, dict):
        return _Kept(file, lowest, highest)
    return _Kept(file, lowest, highest, *_training(mark))


def _training(mark: dict[str, Any]) -> tuple[str, str]:
    """The prompts and the family of the training that left a mark."""
    return str(mark.get("prompts")), str(mark.get("family", QWEN2_5_VL.name))


def _limits(file: Path, lowest: Any, highest: Any, family: Family) -> PixelLimits:
    _check_numbers(file, lowest, highest)
    return PixelLimits(lowest, highest, family)


def _check_numbers(file: Path, lowest: Any, highest: Any) -> None:
    if type(lowest) is not int or type(highest) is not int or not 0 < lowest <= highest:
        raise CheckpointError(f"{file}: pixel limits {lowest!r} to {highest!r}; expected two whole numbers in order")


def settings_in_force(kept: Settings) -> Settings:
    """What holds for a model in this process: the environment's limits, else those that it was trained with."""
    family = kept.limits.family
    lowest = _from_environment("MIN", family.patch_px) or kept.limits.min_pixels  # never 0
    highest = _from_environment("MAX", family.patch_px) or kept.limits.max_pixels
    if lowest > highest:
        raise CheckpointError(f"MIN_PIXELS {lowest} is more than MAX_PIXELS {highest}; set both, or neither")
    return Settings(PixelLimits(lowest, highest, family), prompts.version(family.frame))


def differences(kept: Settings) -> Iterator[str]:
    """What differs between this process and the training of a model, one line each; nothing for an untrained one."""
    if kept.prompts is None:
        return
    here = settings_in_force(kept)
    if here.limits != kept.limits:
        yield f"the environment shows the model {here.limits} pixels of an image; it was trained with {kept.limits}"
    if here.prompts != kept.prompts:
        yield f"the model was trained with prompts {kept.prompts}; this version asks with prompts {here.prompts}"


def _from_environment(end: str, patch_px: int) -> int | None:
    """A limit in pixels as ms-swift reads it, or None: in tokens first, then in pixels, whole tokens of them."""
    in_tokens, in_pixels = f"IMAGE_{end}_TOKEN_NUM", f"{end}_PIXELS"
    tokens, pixels = _whole_number(in_tokens), _whole_number(in_pixels)
    if tokens is not None and pixels is not None and in_tokens not in _BY_HAND and _is_derived(tokens, pixels):
        tokens = None
    if tokens is None and pixels is None:
        return None
    if tokens is None and pixels is not None:
        tokens = pixels // patch_px**2
        told = f"{in_pixels}={pixels}"
    else:
        told = f"{in_tokens}={tokens}"
    if not tokens:
        raise CheckpointError(f"{told}: less than one token of {patch_px} x {patch_px} pixels")
    return tokens * patch_px**2


def _is_derived(tokens: int, pixels: int) -> bool:
    """Whether ms-swift worked out the number of tokens from that of pixels, for the first model of this process.

    It leaves it in the environment, also for models of other families, whose tokens are of other sizes.
    """
    return tokens in [pixels // family.patch_px**2 for family in TRAINED]


def _whole_number(name: str) -> int | None:
    text = os.environ.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise CheckpointError(f"{name}={text}; expected a whole number")
    return int(text)


def _read_json(file: Path) -> dict[str, Any]:
    """A JSON object, or an empty one where there is no such file. Raises CheckpointError for one that is broken."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{file}: cannot be read ({error})") from error
    return value if isinstance(value, dict) else {}
