"""LoRA adapters that say what they were trained with.

An adapter is saved without a processor, which says it for a whole model. ms-swift copies the run's args.json into every
checkpoint after the adapter has been saved, and from there into a merged model, so the settings are put in there.
"""

import json
from pathlib import Path
from typing import Any

from peft import PeftModel

from swift_zoomin.checkpoints import MARK, Settings
from swift_zoomin.files import write_whole


def mark_when_saved(model: Any, settings: Settings) -> None:
    """Let an adapter put these settings into its run's args.json whenever it is saved; leave other models alone."""
    if not isinstance(model, PeftModel) or "save_pretrained" in vars(model):
        return
    save = model.save_pretrained

    def save_pretrained(folder: str, *args: Any, **kwargs: Any) -> None:
        save(folder, *args, **kwargs)
        _mark(Path(folder).parent / "args.json", settings)

    model.save_pretrained = save_pretrained  # type: ignore[method-assign, assignment]


def _mark(file: Path, settings: Settings) -> None:
    if not file.exists():
        return
    content = json.loads(file.read_text(encoding="utf-8"))
    content[MARK] = settings.mark()
    write_whole(file, json.dumps(content, ensure_ascii=False, indent=2).encode())
