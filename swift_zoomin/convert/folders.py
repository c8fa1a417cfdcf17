"""Trees whose folders tell the label: `progan/car/{0_real,1_fake}/*.png` as CNNSpot, DIRE, UniversalFakeDetect have.

The label is that of the folder next to the image among `real`, `0_real`, `nature`, `generated`, `fake`, `1_fake` and
`ai`; what stands above that folder (`progan/car`) is the source, of both labels, so that each generator is scored with
the real images of its own set.
"""

from collections.abc import Iterator
from pathlib import Path

from swift_zoomin.convert.rows import Notes, Row
from swift_zoomin.files import plain_path
from swift_zoomin.folder_labels import nearest_label_folder
from swift_zoomin.listing import walk_images

ABOUT = "a tree of folders 0_real and 1_fake, real and fake, or nature and ai"
SPLITS: tuple[str, ...] = ()


def read_rows(source: Path, split: str | None, notes: Notes) -> Iterator[Row]:
    for path, original, label, above in labelled_images(source, notes):
        yield Row(path, original, label, "/".join(above) or plain_path(source).name)


def labelled_images(source: Path, notes: Notes) -> Iterator[tuple[str, str, str, list[str]]]:
    """Each image of a tree: its path, its name in the tree, its label, and the folders above the one that tells it."""
    left_out: dict[Path, str] = {}
    for image in walk_images([source], left_out):
        original = image.relative_to(plain_path(source))
        folders = list(original.parts[:-1])
        try:
            nearest = nearest_label_folder(folders)
        except ValueError as error:
            notes.faults.append(f"{image}: {error}; rename one or move it away")
            continue
        yield str(image), str(original), nearest.label, folders[: nearest.index]
    for path, reason in left_out.items():
        notes.leave_out(f"no image ({reason})", path.name)
