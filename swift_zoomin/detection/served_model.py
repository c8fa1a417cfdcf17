"""Which model behind an address is to look, and how it is shown images: what the command line says, checked.

Of a checkpoint that is served under the path of its folder, where that is here too, the folder says how it was trained,
if it is of a family that is trained here.
Of any other model the name tells the family, and the environment (MAX_PIXELS, MIN_PIXELS) the pixels that it is shown,
which for a checkpoint must be those of its training.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from swift_zoomin.checkpoints import Checkpoint, Settings, is_of_other_family, limits_of_tokens, read_checkpoint
from swift_zoomin.families import QWEN2_5_VL, Family, Frame, family_of
from swift_zoomin.records import RecordError
from swift_zoomin.served.data_uris import MOST_TOKENS
from swift_zoomin.served.extra import check_packages
from swift_zoomin.served.keys import SHARED_KEY, key_from
from swift_zoomin.served.models import Model, checked_url

TIMEOUT_S = 120  # for one request
_LEAST_TOKENS = 4  # of an image, as in training


@dataclass(frozen=True)
class ServedModel:
    """A model at an address; `settings` as of a checkpoint, which is `checkpoint` where its folder is here."""

    model: Model
    settings: Settings
    checkpoint: Checkpoint | None = None

    def name_with_hash(self) -> str:
        """Its weights' hash, where they are here; in `made_by` the place does not count, so that a model may move."""
        name = self.checkpoint.name_with_hash() if self.checkpoint else self.model.name
        return f"{name} (served, boxes {self.settings.limits.family.frame})"


def open_served(name: str, url: str | None, frame: str | None) -> ServedModel:
    """Raises RecordError and CheckpointError, also where the packages for it are missing."""
    if not url:
        raise RecordError("--engine endpoint: no --url; expected an address, as http://localhost:8000/v1")
    check_packages("--engine endpoint", "endpoint")
    model = Model(name, checked_url(url), key_from(SHARED_KEY))
    checkpoint = _checkpoint(name)
    settings = checkpoint.settings if checkpoint else _settings(name, frame)
    if frame:
        family = replace(settings.limits.family, frame=Frame(frame))
        settings = replace(settings, limits=replace(settings.limits, family=family))
    return ServedModel(model, settings, checkpoint)


def _checkpoint(name: str) -> Checkpoint | None:
    """What stands in the folder of this name; None where there is none, or one of a family that is only served."""
    is_here = any((Path(name) / file).is_file() for file in ("config.json", "adapter_config.json"))
    return read_checkpoint(name) if is_here and not is_of_other_family(name) else None


def _settings(name: str, frame: str | None) -> Settings:
    family = family_of(name)
    if family is None:
        if frame is None:
            frames = " or ".join(Frame)
            raise RecordError(f"--model {name}: how it writes boxes is not known; set --frame {frames}")
        family = Family("unknown", Frame(frame), QWEN2_5_VL.patch_px)
    return Settings(limits_of_tokens(_LEAST_TOKENS, MOST_TOKENS, family))
