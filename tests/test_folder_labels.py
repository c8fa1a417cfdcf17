"""Which folder of an image tells its label, and where two of them contradict each other."""

import pytest

from swift_zoomin.folder_labels import LabelFolder, nearest_label_folder
from swift_zoomin.replies import GENERATED, REAL


@pytest.mark.parametrize(
    ("path", "first_index", "found"),
    [
        ("sd14/train/ai", 0, LabelFolder(2, GENERATED)),
        ("real/a/Nature/b", 0, LabelFolder(2, REAL)),
        ("ai/GenImage/train/nature", 1, LabelFolder(3, REAL)),  # a user named ai
        ("1_fake/flux", 1, LabelFolder(0, GENERATED)),  # further out, where nothing tells within
        ("fake/real", 2, LabelFolder(1, REAL)),
    ],
)
def test_the_nearest_folder_tells_the_label(path: str, first_index: int, found: LabelFolder) -> None:
    assert nearest_label_folder(path.split("/"), first_index) == found


@pytest.mark.parametrize(
    ("path", "first_index", "problem"),
    [
        ("generated/nature", 0, "lies in folders of both labels, generated and nature"),
        ("ai/x/REAL/fake/y", 1, "lies in folders of both labels, REAL and fake"),
        ("realistic/ai2", 0, "no folder above it is named real, 0_real, nature, generated, 1_fake, fake, ai"),
    ],
)
def test_none_or_both_are_no_label(path: str, first_index: int, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}$"):
        nearest_label_folder(path.split("/"), first_index)
