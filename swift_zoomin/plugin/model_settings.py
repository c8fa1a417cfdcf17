"""The settings of the model that ms-swift has loaded: its family, the pixels of an image it is shown, its prompts.

They are read from its folder here, and go with its processor into every checkpoint.
"""

from typing import Any

from swift.utils import get_logger

from swift_zoomin.boxes import PixelLimits
from swift_zoomin.checkpoints import (
    MARK,
    CheckpointError,
    Settings,
    differences,
    read_settings,
    settings_in_force,
)
from swift_zoomin.families import Family, family_of_type, trained_types
from swift_zoomin.plugin.command_line import read_command


def settings_of_model(processor: Any) -> Settings:
    """What holds for a model in this process; where it was trained with something else, that is said.

    Raises CheckpointError for a model that the template cannot serve.
    """
    family = family_of_model(processor)
    _check_model(processor)
    folder = processor.model_info.model_dir
    kept = _kept_settings(folder, family)
    for difference in differences(kept):
        get_logger().warning_once(f"swift_zoomin: {folder}: {difference}")
    return settings_in_force(kept)


def family_of_model(processor: Any) -> Family:
    """The family of the model that a processor belongs to. Raises CheckpointError for one that is not served."""
    model_type = processor.model_info.config.model_type
    family = family_of_type(model_type)
    if family is None:
        folder = processor.model_info.model_dir
        raise CheckpointError(f"{folder}: a model of type {model_type}; --template zoomin serves {trained_types()}")
    return family


def _check_model(processor: Any) -> None:
    folder = processor.model_info.model_dir
    # Where these files are missing, transformers gives the tokenizer alone.
    if not hasattr(processor, "image_processor"):
        files = "processor_config.json and preprocessor_config.json"
        raise CheckpointError(f"{folder}: no image processor; expected one of {files}")
    if not processor.tokenizer(" ")["input_ids"]:
        raise CheckpointError(f"{folder}: a tokenizer without tokens; expected a tokenizer.json, or a vocab.json")


def _kept_settings(model: str, family: Family) -> Settings:
    """What a model was trained with: what lies on top of it on the command line says it, else its own folder."""
    for folder in read_command().loaded:
        kept = read_settings(folder, family)
        if kept.prompts is not None:
            return kept
    return read_settings(model, family)


def lowered(limits: PixelLimits, max_pixels: int) -> PixelLimits:
    """The limits under ms-swift's --max_pixels, which can only lower them; what it does is said."""
    patch_px = limits.family.patch_px
    highest = max_pixels // patch_px**2 * patch_px**2  # whole tokens, as MAX_PIXELS
    if highest < 1:
        raise CheckpointError(f"--max_pixels {max_pixels}: less than one token of {patch_px} x {patch_px} pixels")
    lower_limits = PixelLimits(min(limits.min_pixels, highest), min(limits.max_pixels, highest), limits.family)
    if lower_limits == limits:
        effect = f"it does not lower the model's limits of {limits} pixels; MAX_PIXELS raises them"
    else:
        effect = f"the model is shown {lower_limits} pixels of an image, instead of {limits}"
    get_logger().warning_once(f"swift_zoomin: --max_pixels {max_pixels}: {effect}")
    return lower_limits


def mark_processor(processor: Any, settings: Settings) -> None:
    """Let the processor show the model this many pixels, and say so wherever it is saved."""
    limits = settings.limits
    processor.image_processor.size = {"shortest_edge": limits.min_pixels, "longest_edge": limits.max_pixels}
    setattr(processor.image_processor, MARK, {"prompts": settings.prompts, "family": limits.family.name})
