"""Labels that the names of folders give, as published data sets name them: `0_real`, `1_fake`, `nature`, `ai`."""

from collections.abc import Sequence

from swift_zoomin.replies import GENERATED, REAL

LABEL_FOLDERS = {REAL: (REAL, "0_real", "nature"), GENERATED: (GENERATED, "1_fake", "fake", "ai")}
_LABEL_OF = {name: label for label, names in LABEL_FOLDERS.items() for name in names}
ALL_LABEL_FOLDERS = ", ".join(_LABEL_OF)


def label_of_folder(name: str) -> str | None:
    """What a folder of this name holds, in either case; None where its name does not tell."""
    return _LABEL_OF.get(name.lower())


def nearest_label_folder(folders: Sequence[str]) -> int | None:
    """The index of the last folder whose name tells a label; `folders` are an image's, from the outermost inwards.

    Raises ValueError where folders of both labels are among them: `generated/nature/x.png` may be a generated picture
    of nature.
    """
    telling = [index for index, name in enumerate(folders) if label_of_folder(name)]
    labels = {label_of_folder(folders[index]) for index in telling}
    if len(labels) > 1:
        raise ValueError(f"lies in folders of both labels: {'/'.join(folders)}")
    return telling[-1] if telling else None
