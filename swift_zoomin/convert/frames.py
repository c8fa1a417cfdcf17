"""Boxes in the pixels of a stored file -> boxes in the upright image, as EXIF turns it."""

from swift_zoomin.boxes import Box, Size, clip_box


def upright_box(box_stored: Box, size: Size, orientation: int) -> list[float]:
    """A box of the file as stored, as a box of its upright image, clipped to it.

    `size` is that of the upright image; `orientation` is EXIF's, 1 to 8, which says how the file is turned for it.
    """
    width, height = size if orientation < 5 else (size[1], size[0])
    x1, y1, x2, y2 = clip_box(box_stored, (width, height))
    # Left and top of the upright image are an edge of the stored one; far edges count from the other end.
    from_right, from_bottom = (width - x2, width - x1), (height - y2, height - y1)
    from_left, from_top = (x1, x2), (y1, y2)
    across, down = {
        1: (from_left, from_top),
        2: (from_right, from_top),
        3: (from_right, from_bottom),
        4: (from_left, from_bottom),
        5: (from_top, from_left),
        6: (from_bottom, from_left),
        7: (from_bottom, from_right),
        8: (from_top, from_right),
    }[orientation]
    return [across[0], down[0], across[1], down[1]]
