"""The packages that asking a served model needs, which not everybody installs."""

from importlib.util import find_spec

from swift_zoomin.records import RecordError

_PACKAGES = ("openai", "tenacity")


def check_packages(user: str, extra: str) -> None:
    """Raises RecordError where one of them is missing, which names the extra that brings them."""
    for name in _PACKAGES:
        if find_spec(name) is None:
            raise RecordError(f'{user} needs {name}; pip install "swift-zoomin[{extra}]"')
