"""The image that an exchange is about, in whatever form ms-swift hands it to the template."""

from pathlib import Path

import pytest
from conftest import trainer_of
from made_images import IMAGE_FORMS, encoded, exif, limits, noise

from swift_zoomin.images import ImageRef, open_upright
from swift_zoomin.plugin.template import first_image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("form", IMAGE_FORMS)
def test_an_image_given_itself_comes_first_in_the_size_of_its_file(
    tmp_path: Path, form: str, orientation: int, kind: str
) -> None:
    content = encoded(noise(60, 40), kind, exif=exif(bytes([orientation])))
    (tmp_path / "file").write_bytes(content)
    size = open_upright(tmp_path / "file").size
    image = IMAGE_FORMS[form](content)
    for _ in range(2):  # a Pillow image is left as it was
        with trainer_of(limits()):
            assert first_image([image, "/other.png"]) == ImageRef("", size).under(limits())


def test_the_first_image_may_stand_in_any_form(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(content := encoded(noise(60, 40), "PNG"))
    path, data, file = str(tmp_path / "a.png"), ImageRef("", (60, 40)), ImageRef(str(tmp_path / "a.png"), (60, 40))
    for image, expected in (
        ({"bytes": content, "path": "gone.png"}, data),  # the bytes win
        ({"bytes": content, "path": None}, data),
        ({"bytes": None, "path": path}, file),
        ({"path": path}, file),
        ({"bytes": None, "path": str(file)}, file),
        (path, file),
        (str(file), file),
        ("zoomin:/gone.png?size=9x7", ImageRef("/gone.png", (9, 7))),  # not opened
    ):
        with trainer_of(limits()):
            assert first_image([image, "/other.png"]) == expected.under(limits())
