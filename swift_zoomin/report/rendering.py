"""Pages of one file each: a template with its style and its script, which alone may run, and nothing is fetched."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from swift_zoomin.records import RecordError


def rendered(name: str, /, has_script: bool = True, **values: Any) -> str:
    """The page of `page/NAME.html`, with NAME.css and NAME.js in it; values go in as text. Raises RecordError."""
    style = _part(f"{name}.css")
    script = _part(f"{name}.js") if has_script else ""
    # Should anything of a prediction not be escaped after all, the browser still neither runs nor fetches it.
    scripts = _hash_of(script) if has_script else "'none'"
    policy = f"default-src 'none'; img-src data:; style-src {_hash_of(style)}; script-src {scripts}"
    check_packages()
    page: str = _template(name).render(
        policy=f"{policy}; base-uri 'none'; form-action 'none'", style=style, script=script, **values
    )
    return page


def check_packages() -> None:
    """Raises RecordError where a package is missing that pages are made or a file's XMP is read with."""
    for module, package in (("jinja2", "Jinja2"), ("defusedxml", "defusedxml")):
        if find_spec(module) is None:
            raise RecordError(f"report needs {package}: pip install 'swift-zoomin[report]'")


@cache
def _template(name: str) -> Any:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_part(f"{name}.html"))


def _part(name: str) -> str:
    return (files("swift_zoomin.report") / "page" / name).read_text(encoding="utf-8")


def _hash_of(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
