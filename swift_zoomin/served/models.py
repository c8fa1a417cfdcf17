"""Which model is asked, and where."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from swift_zoomin.records import RecordError
from swift_zoomin.served.keys import Key


@dataclass(frozen=True)
class Model:
    """A model at an address."""

    name: str
    url: str
    key: Key


def checked_url(url: str) -> str:
    """Raises RecordError for what is no address."""
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        shown = url.rpartition("@")[2].partition("?")[0]  # what stands around it may be a key
        raise RecordError(
            f"{shown}: no address; expected one like https://api.openai.com/v1 or http://localhost:8000/v1"
        )
    return url
