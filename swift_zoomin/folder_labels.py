"""Labels that the names of folders give, as published data sets name them: `0_real`, `1_fake`, `nature`, `ai`."""

from collections.abc import Sequence
from dataclasses import dataclass

from swift_zoomin.replies import GENERATED, REAL

LABEL_FOLDERS = {REAL: (REAL, "0_real", "nature"), GENERATED: (GENERATED, "1_fake", "fake", "ai")}
LABEL_OF_FOLDER = {name: label for label, names in LABEL_FOLDERS.items() for name in names}
ALL_LABEL_FOLDERS = ", ".join(LABEL_OF_FOLDER)


@dataclass(frozen=True)
class LabelFolder:
    """A folder whose name tells a label, by its place among an image's folders."""

    index: int
    label: str


def nearest_label_folder(folders: Sequence[str]) -> LabelFolder | None:
    """The last folder whose name, in either case, tells a label; `folders` are an image's, from the outermost inwards.

    Raises ValueError where folders of both labels are among them: `generated/nature/x.png` may be a generated picture
    of nature.
    """
    telling = []
    for index, name in enumerate(folders):
        if label := LABEL_OF_FOLDER.get(name.lower()):
            telling.append(LabelFolder(index, label))
    if len({folder.label for folder in telling}) > 1:
        raise ValueError(f"lies in folders of both labels: {'/'.join(folders)}")
    return telling[-1] if telling else None
