"""Files that appear whole or not at all, and the folder for what can be made again."""

import os
import tempfile
import uuid
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file and the folders above it. Who reads meanwhile, or after a failure, finds the old file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def cache_folder() -> Path:
    """The user's folder for files that may be deleted at any time. It may not exist, and may not be writable."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):  # the XDG specification has other values ignored
        return Path(given) / "swift_zoomin"
    try:
        return Path.home() / ".cache" / "swift_zoomin"
    except RuntimeError:  # a container's user without a home
        return Path(tempfile.gettempdir()) / "swift_zoomin"
