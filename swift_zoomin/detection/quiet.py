"""What libraries say while they load a model is kept to warnings: thirty lines of theirs would hide the one of ours."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_LEVELS = ("LOG_LEVEL", "VLLM_LOGGING_LEVEL")  # ms-swift's and vLLM's, whose processes inherit it


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Inside, ms-swift and vLLM are loaded with warnings alone, unless the environment asks for another level."""
    unset = [name for name in _LEVELS if not os.environ.get(name)]
    os.environ.update(dict.fromkeys(unset, "WARNING"))
    try:
        yield
    finally:
        for name in unset:
            os.environ.pop(name, None)
