"""Keys of servers come from the environment alone, and no text that a server or a library wrote keeps one."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlsplit

from swift_zoomin.records import RecordError

SHARED_KEY = "OPENAI_API_KEY"
NO_KEY = "none"  # servers on one's own machine want none, but the library insists on sending one
_LEAST_SECRET = 8  # characters: a shorter "key" (none, EMPTY) keeps nobody out, and would be cut out of plain words
_HIDDEN = "[key]"


@dataclass(frozen=True)
class Key:
    """A key, which is never shown, and what a message says of where it is from."""

    value: str = field(repr=False)
    origin: str


def key_from(*variables: str) -> Key:
    """The key in the first of these variables that is set. Raises RecordError for one that cannot be sent."""
    for name in variables:
        key = os.environ.get(name, "").strip()
        if key:
            if not key.isascii() or not key.isprintable():
                raise RecordError(f"{name}: holds characters that no key has; set it again")
            return Key(key, f"the key is that of {name}")
    return Key(NO_KEY, f"no key is set in {' or '.join(variables)}")


class Redaction:
    """Takes the keys in variables of the environment, and what in addresses may be one, out of a text."""

    def __init__(self, urls: Sequence[str], variables: Sequence[str] = (SHARED_KEY,)) -> None:
        secrets = [os.environ.get(name, "").strip() for name in variables]
        for url in urls:
            parts = urlsplit(url)
            secrets += [parts.username or "", parts.password or "", *(value for _, value in parse_qsl(parts.query))]
        secrets = [secret for secret in secrets if len(secret) >= _LEAST_SECRET]
        # As it is, as it stands in an address, and with JSON's other way to write a slash.
        forms = {form for secret in secrets for form in (secret, quote(secret, safe=""), secret.replace("/", "\\/"))}
        self._forms = sorted(forms, key=len, reverse=True)  # one key may hold another

    def __call__(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, _HIDDEN)
        return text


@contextmanager
def library_settings_hidden() -> Iterator[None]:
    """Hide the variables that the library `openai` reads by itself.

    OPENAI_BASE_URL would be another address, OPENAI_CUSTOM_HEADERS another key, OPENAI_ORG_ID an organization that a
    server of somebody else is told. The command line says all of that.
    """
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("OPENAI_")}
    try:
        yield
    finally:
        os.environ.update(hidden)
