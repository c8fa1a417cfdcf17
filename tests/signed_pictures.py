"""Pictures with a C2PA manifest, signed in the test by whoever the test says, and what can happen to them afterwards.

    content = signed(encoded(noise(64, 48), "JPEG"), signer="Test Newsroom")

C2PA wants a certificate of version 3 that somebody else issued, for e-mail or documents, and that may only sign:
https://spec.c2pa.org/specifications/specifications/2.2/specs/C2PA_Specification.html#_certificate_profile
"""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

GENERATED_BY_A_MODEL = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_QUIET = {"verify": {"remote_manifest_fetch": False}, "builder": {"thumbnail": {"enabled": False}}}


def signed(content: bytes, kind: str = "image/jpeg", signer: str = "Test Newsroom", **made: Any) -> bytes:
    """The file with a manifest in it that says how it was made; `made` are further fields of the manifest."""
    return _sign(c2pa.Builder(_manifest(**made), context=c2pa.Context.from_dict(_QUIET)), content, kind, signer)


def edited(content: bytes, kind: str = "image/jpeg") -> bytes:
    """A signed file signed once more, by an editor whose manifest keeps the first one and has no source type."""
    manifest = {
        "claim_generator_info": [{"name": "Editor"}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [{"action": "c2pa.edited"}]}}],
    }
    context = c2pa.Context.from_dict({**_QUIET, "builder": {"intent": "edit", "thumbnail": {"enabled": False}}})
    return _sign(c2pa.Builder(manifest, context=context), content, kind, "Test Editor")


def signed_elsewhere(content: bytes, address: str) -> bytes:
    """A JPEG that names an address where its manifest lies, and has none itself."""
    builder = c2pa.Builder(_manifest(), context=c2pa.Context.from_dict(_QUIET))
    builder.set_no_embed()
    builder.set_remote_url(address)
    return _sign(builder, content, "image/jpeg", "Test Newsroom")


def tampered(content: bytes) -> bytes:
    """The file with one bit of its last pixels changed."""
    changed = bytearray(content)
    changed[-20] ^= 1
    return bytes(changed)


def _manifest(**made: Any) -> dict[str, Any]:
    action = {
        "action": "c2pa.created",
        "digitalSourceType": GENERATED_BY_A_MODEL,
        "softwareAgent": {"name": "Toy model", "version": "2"},
    }
    return {
        "claim_generator_info": [{"name": "Toy studio", "version": "1"}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
        **made,
    }


def _sign(builder: Any, content: bytes, kind: str, signer: str) -> bytes:
    chain, key = _certificates(signer)
    result = io.BytesIO()
    information = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=chain, private_key=key, ta_url=None)
    builder.sign(c2pa.Signer.from_info(information), kind, io.BytesIO(content), result)
    return result.getvalue()


def _certificates(signer: str) -> tuple[bytes, bytes]:
    """A signer's certificate and its issuer's, both PEM, and the signer's key."""
    issuer_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _certificate("Test Authority", issuer_key.public_key(), issuer_key, is_issuer=True)
    own = _certificate(signer, key.public_key(), issuer_key, is_issuer=False)
    chain = own.public_bytes(Encoding.PEM) + issuer.public_bytes(Encoding.PEM)
    return chain, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate(owner: str, key: Any, issuer_key: Any, is_issuer: bool) -> x509.Certificate:
    now = datetime.now(UTC)
    usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    usage |= {"crl_sign": False, "encipher_only": False, "decipher_only": False}
    builder = (
        x509.CertificateBuilder(_name("Test Authority"), _name(owner), key, x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(is_issuer, None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not is_issuer, key_cert_sign=is_issuer, **usage),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not is_issuer:
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purposes, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(organisation: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)])
