"""What a C2PA manifest in a file says, and whether file, manifest and signature still fit together.

    Said("C2PA", "validation", "Valid: the signature holds and the file is as it was signed. Whether the signer ...")
    Said("C2PA", "signed by", "Adobe Inc. (cai-prod)")

The library is c2pa-python, which nobody needs who does not ask for it. It is told to fetch nothing: neither a manifest
that lies elsewhere, nor a certificate's revocation, nor an identity's document. No list of trusted signers is used, so
anybody can sign in anybody's name, and a manifest is never more than "Valid". Not covered: IPTC's fields in a manifest,
thumbnails, and the validation of pictures that went into this one.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swift_zoomin.report.said import FAULT, Said, says
from swift_zoomin.report.source_types import explained

C2PA = "C2PA"
_NO_NETWORK = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "core": {"decode_identity_assertions": False, "allowed_network_hosts": []},
}
_STATES = {
    "Valid": "the signature holds and the file is as it was signed. Whether the signer is who the certificate says is "
    "not known: no list of trusted signers is used here",
    "Invalid": "file, manifest and signature do not fit together; something was changed after signing, or the manifest "
    "is not as the standard wants it",
}
_UNTRUSTED = "signingCredential.untrusted"  # true of every signer where no list of trusted ones is used


def manifest_says(path: Path) -> Iterator[Said]:
    """Nothing for a file without a manifest; a fault for one that cannot be read. Raises OSError."""
    try:
        import c2pa
    except ImportError:
        yield says(C2PA, "not looked for", 'c2pa-python is not installed; pip install "swift-zoomin[c2pa]"')
        return
    try:
        with path.open("rb") as file, c2pa.Context.from_dict(_NO_NETWORK) as context:
            reader = c2pa.Reader.try_create(file, context=context)
            if reader is None:
                return
            with reader:
                content = json.loads(reader.json())
    except c2pa.C2paError.NotSupported:  # a kind of file that has no place for a manifest
        return
    except (c2pa.C2paError, ValueError, RecursionError) as error:
        yield says(C2PA, FAULT, _unread(str(error)))
        return
    yield from _store_says(_mapping(content))


def _unread(error: str) -> str:
    if error.startswith("Remote: must fetch"):
        return f"the manifest does not lie in the file, and nothing is fetched ({error})"
    return f"no manifest could be read ({error})"


def _store_says(store: dict[str, Any]) -> Iterator[Said]:
    """The active manifest, what is wrong with it, and what earlier manifests in the file say of actions."""
    state = _text(store.get("validation_state"))
    yield says(C2PA, "validation", f"{state}: {_STATES[state]}" if state in _STATES else state)
    for status in _items(store.get("validation_status")):
        code = _text(status.get("code"))
        if code != _UNTRUSTED:
            yield says(C2PA, FAULT, f"{code}: {_text(status.get('explanation'))}")
    manifests = _mapping(store.get("manifests"))
    active = _text(store.get("active_manifest"))
    yield from _manifest_says(_mapping(manifests.get(active)))
    for label, manifest in manifests.items():
        if label != active:
            yield from _actions("earlier action", _mapping(manifest))


def _manifest_says(manifest: dict[str, Any]) -> Iterator[Said]:
    signature = _mapping(manifest.get("signature_info"))
    signer = f"{_text(signature.get('issuer'))} ({_text(signature.get('common_name'))})"
    yield says(C2PA, "signed by", signer.replace(" ()", ""))
    yield says(C2PA, "signed at", _text(signature.get("time")))
    programs = [_program(program) for program in _items(manifest.get("claim_generator_info"))]
    for program in programs or [_text(manifest.get("claim_generator"))]:  # the second in manifests of version 1
        yield says(C2PA, "written by", program)
    yield says(C2PA, "title", _text(manifest.get("title")))
    yield from _actions("action", manifest)
    for ingredient in _items(manifest.get("ingredients")):
        relationship = _text(ingredient.get("relationship"))
        yield says(C2PA, "made from", f"{_text(ingredient.get('title'))} ({relationship})")


def _actions(field: str, manifest: dict[str, Any]) -> Iterator[Said]:
    """What was done to the picture: `c2pa.created; Adobe Firefly; trainedAlgorithmicMedia: made by ...`."""
    for assertion in _items(manifest.get("assertions")):
        if not _text(assertion.get("label")).startswith("c2pa.actions"):
            continue
        for action in _items(_mapping(assertion.get("data")).get("actions")):
            agent = action.get("softwareAgent")
            parts = [
                _text(action.get("action")),
                _program(agent) if isinstance(agent, dict) else _text(agent),
                _text(action.get("when")),
                explained(_text(action.get("digitalSourceType"))),
            ]
            yield says(C2PA, field, "; ".join(part for part in parts if part))


def _program(program: dict[str, Any]) -> str:
    return f"{_text(program.get('name'))} {_text(program.get('version'))}".strip()


# The signer chose what stands in a manifest, of whatever kind it is.


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: object) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
