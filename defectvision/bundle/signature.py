"""Who vouches for a bundle: an Ed25519 signature (RFC 8032) of all that its version covers."""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError

from defectvision import atomic
from defectvision.bundle.line import Frozen
from defectvision.bundle.schema import SIGNATURE_FILE
from defectvision.roots import opened
from defectvision.words import visible

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_BYTES = 32
LONGEST_FILE = 10_000  # bytes of a key or signature file
NOT_SIGNED = "not signed"


class SignatureError(RuntimeError):
    """A key or signature that cannot be used; the message names the file, reason and remedy."""


class Signature(Frozen):
    """Content of `signature.json`: key: the signer's public key; signature: of `_message`, both in
    base64."""

    format: Literal[1] = 1
    key: str = Field(max_length=100)
    signature: str = Field(max_length=200)


def make_key(file: Path) -> str:
    """Write a new private key into a file that does not exist yet, readable by its owner alone;
    returns the public key in base64. Raises SignatureError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(pem)
    except FileExistsError as error:
        raise SignatureError(f"{file}: is there already. Name a new file") from error
    except OSError as error:
        reason = error.strerror or error
        raise SignatureError(f"{file}: cannot be written ({reason}). Name another file") from error
    return _public(key)


def read_key(file: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file; raises SignatureError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        with opened(file) as key_file:
            if stat.S_IMODE(os.fstat(key_file.fileno()).st_mode) & 0o077:
                raise SignatureError(
                    f"{file}: others can read or change this private key. Close it to them "
                    f"(chmod 600), or make a new one where they may have read it"
                )
            pem = key_file.read(LONGEST_FILE + 1)
    except OSError as error:
        raise SignatureError(f"{file}: cannot be read ({error.strerror}). Check it") from error
    reason = "is no private key in PEM"
    if len(pem) <= LONGEST_FILE:
        try:
            key = load_pem_private_key(pem, password=None)
        except TypeError:
            reason = "is protected by a password"
        except Exception:  # of whichever way in which a key can be malformed
            pass
        else:
            if isinstance(key, Ed25519PrivateKey):
                return key
            reason = "is a private key of another kind than Ed25519"
    raise SignatureError(f"{file}: {reason}. Make one with: defectvision keygen FILE")


def check_public_key(text: str) -> None:
    """Raises ValueError for what is no public key of Ed25519 in base64."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES or not any(raw):
        raise ValueError("is no public key; `defectvision keygen` and `defectvision sign` print it")


def write_signature(folder: Path, covered: str, key: Ed25519PrivateKey) -> str:
    """Sign the bundle in `folder`, whose version's whole hash is `covered`; returns the public key
    in base64. Raises OSError."""
    signed = base64.b64encode(key.sign(_message(covered))).decode()
    content = Signature(key=_public(key), signature=signed)
    atomic.write_text(folder / SIGNATURE_FILE, content.model_dump_json(indent=2) + "\n")
    return content.key


def signed_by(folder: Path, covered: str, trusted: Mapping[str, str]) -> str:
    """Who signed the bundle in `folder`, in words. trusted: names to public keys.

    Raises SignatureError where there are trusted keys and the bundle was not signed by one of them,
    or is not as it was then. `covered`: as in `write_signature`.
    """
    words, reason, remedy = _look(folder, covered, trusted)
    if trusted and reason:
        known = ", ".join(visible(name) for name in trusted)
        raise SignatureError(
            f"{folder / SIGNATURE_FILE}: {reason}. Only bundles signed by {known} are loaded here "
            f"(DEFECTVISION_TRUSTED_KEYS). {remedy}"
        )
    return words


def _look(folder: Path, covered: str, trusted: Mapping[str, str]) -> tuple[str, str, str]:
    """In words who signed, why nobody that is trusted did, and what to do."""
    file = folder / SIGNATURE_FILE
    sign = f"Have it signed: defectvision sign {folder} --key FILE"
    again = "Copy the whole bundle folder and its line.json again, or have it signed again"
    try:
        with opened(file) as signature_file:
            content = signature_file.read(LONGEST_FILE + 1)
    except FileNotFoundError:  # as of most bundles: nothing that reads signatures is imported
        return NOT_SIGNED, "is missing", sign
    except OSError as error:
        return NOT_SIGNED, f"cannot be read ({error.strerror})", again
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        given = Signature.model_validate_json(content)
        raw, signature = (
            base64.b64decode(text, validate=True) for text in (given.key, given.signature)
        )
        public = Ed25519PublicKey.from_public_bytes(raw)
    except (ValidationError, ValueError):
        return "its signature cannot be read", "is no signature", again
    try:
        public.verify(signature, _message(covered))
    except InvalidSignature:
        return "its signature is of another content", "is of another content", again
    canonical = base64.b64encode(raw).decode()
    name = next((name for name, key in trusted.items() if key == canonical), None)
    if name is None:
        return (
            f"by the key {canonical}, which is not among the trusted ones",
            f"was made with the key {canonical}",
            sign,
        )
    return f"by {visible(name)}", "", ""


def _message(covered: str) -> bytes:
    return f"DefectVision bundle 1 {covered}".encode()


def _public(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()
