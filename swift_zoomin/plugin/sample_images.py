"""The images of a sample, in any form that ms-swift lets them have: checked, referred to, opened."""

import os
from collections.abc import Iterable
from typing import Any

from PIL import Image
from swift.utils import SafeMediaPath

from swift_zoomin.boxes import PixelLimits
from swift_zoomin.images import ImageError, ImageRef, LimitsError, is_remote, load_references, open_upright, source_of


def reference_of(image: Any) -> ImageRef | None:
    """What an image of a sample refers to; None where it is an image itself. Raises ImageError for a guarded file."""
    source = source_of(image)
    if not isinstance(source, str):
        return None
    reference = ImageRef.parse(source)
    if reference and reference.path:
        _check_is_allowed(reference.path)
    return reference


def refer_to(image: Any) -> ImageRef:
    """The reference that an image of a sample is, or one to it, without limits. Raises ImageError."""
    reference = reference_of(image)
    if reference is not None:
        return reference
    source = source_of(image)
    _check_named_file(source)
    return ImageRef.of(source)


def open_images(images: list[Any], limits: PixelLimits, is_training: bool) -> list[Any]:
    """All of a sample's images upright, references loaded, each file opened once; ms-swift fetches remote ones.

    Raises ImageError, and LimitsError for a reference of another model's; in training also for one that names no
    limits, because the boxes beside it were made for some.
    """
    sources = [source_of(image) for image in images]
    references = [reference_of(source) for source in sources]
    opened = [None if reference else _opened(source) for source, reference in zip(sources, references, strict=True)]
    referred = {index: reference for index, reference in enumerate(references) if reference}
    if is_training:
        _check_limits_are_named(referred.values())
    # Crops of an image that is no file are cut from the first image of their sample.
    first = opened[0] if opened and isinstance(opened[0], Image.Image) else None
    loaded = load_references([reference.under(limits) for reference in referred.values()], first)
    for index, image in zip(referred, loaded, strict=True):
        opened[index] = image
    return opened


def _opened(source: Any) -> Any:
    """An image upright; the address of one on the web, which ms-swift fetches, as it is."""
    if is_remote(source):
        return source
    _check_named_file(source)
    return open_upright(source)


def _check_limits_are_named(references: Iterable[ImageRef]) -> None:
    for reference in references:
        if reference.limits is None:
            fault = "its row does not say for which pixel limits it was made; make it anew"
            raise LimitsError(f"{reference.path}: {fault}")


def _check_named_file(source: Any) -> None:
    """Raises ImageError for a text that names a file outside SWIFT_MEDIA_ALLOWED_DIRS."""
    if isinstance(source, str) and os.path.exists(source):  # any other text is base64, or names nothing
        _check_is_allowed(source)


def _check_is_allowed(path: str) -> None:
    """Raises ImageError for a file outside SWIFT_MEDIA_ALLOWED_DIRS, however it is named.

    ms-swift guards the files that a request names, but to it our references are no files.
    """
    try:
        SafeMediaPath.check(path)
    except ValueError as error:
        raise ImageError(str(error)) from error
