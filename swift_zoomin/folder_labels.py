"""Labels that the names of folders give, as published data sets name them: `0_real`, `1_fake`, `nature`, `ai`."""

from collections.abc import Sequence
from dataclasses import dataclass

from swift_zoomin.replies import GENERATED, REAL

LABEL_FOLDERS = {REAL: (REAL, "0_real", "nature"), GENERATED: (GENERATED, "1_fake", "fake", "ai")}
LABEL_OF_FOLDER = {name: label for label, names in LABEL_FOLDERS.items() for name in names}
_ALL_LABEL_FOLDERS = ", ".join(LABEL_OF_FOLDER)


@dataclass(frozen=True)
class LabelFolder:
    """A folder whose name tells a label, by its place among an image's folders."""

    index: int
    label: str


def nearest_label_folder(folders: Sequence[str], first_index: int = 0) -> LabelFolder:
    """The last folder whose name, in either case, tells a label; `folders` are an image's, from the outermost inwards.

    Raises ValueError where none does, or where folders from `first_index` on tell both labels:
    `generated/nature/x.png` may be a generated picture of nature.
    """
    telling = []
    for index, name in enumerate(folders):
        if label := LABEL_OF_FOLDER.get(name.lower()):
            telling.append(LabelFolder(index, label))
    if not telling:
        raise ValueError(f"no folder above it is named {_ALL_LABEL_FOLDERS}")
    nearest = telling[-1]
    for folder in telling:
        if folder.index >= first_index and folder.label != nearest.label:
            both = f"{folders[folder.index]} and {folders[nearest.index]}"
            raise ValueError(f"lies in folders of both labels, {both}")
    return nearest
