"""What keeps the memory of a run over millions of images as it is, besides what the run itself forgets."""

import ctypes

_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
_LARGE_BYTES = 1 << 19


def give_large_blocks_back() -> None:
    """Let large blocks of memory come from the system and go back to it, as long as this process lives.

    By itself glibc raises the size that it takes for large whenever such a block is freed; later ones then come from
    its heap, and leave holes there that small blocks soon divide. Python keeps the parts of all paths in one table,
    which is made anew every few thousand paths: over a million images that left 8 MB of holes. Other C libraries
    neither have the call nor the habit.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
