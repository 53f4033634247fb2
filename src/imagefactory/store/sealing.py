"""Encrypts what nobody may read in the database, under a key that lies beside it."""

import base64
import hmac
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from imagefactory.core.errors import StoreError
from imagefactory.core.secret import Secret
from imagefactory.store.files import create_private

KEY: Final = "vault.key"  #: the name of the key's file, in the folder of the database
_KEY: Final = 32  #: bytes: AES-256
_NONCE: Final = 12  #: bytes, as NIST SP 800-38D recommends for GCM


@dataclass(frozen=True, kw_only=True)
class Seal:
    """AES-256-GCM under one key.

    What a text belongs to is authenticated with it, so that nobody can exchange two in the database.
    """

    key: Secret  #: base64

    @classmethod
    def open(cls, path: Path) -> Self:
        """The seal whose key is in this file, made where needed; `StoreError` if the key is no good."""
        with suppress(FileExistsError):
            if not path.exists():
                _create(path)
        return cls(key=_read(path))

    def close_up(self, text: str, *, of: str) -> bytes:
        """A text of the thing called `of`, encrypted."""
        nonce = secrets.token_bytes(_NONCE)
        # Any text can be kept: an encoding error would carry the secret along.
        plain = text.encode("utf-8", "surrogatepass")
        return nonce + self._cipher.encrypt(nonce, plain, of.encode())

    def open_up(self, sealed: bytes, *, of: str) -> str | None:
        """The text; None when it was sealed under another key or for another thing, or changed since."""
        try:
            opened = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], of.encode())
        except (InvalidTag, ValueError):
            return None
        return opened.decode("utf-8", "surrogatepass")

    def digest(self, text: str) -> str:
        """What tells texts apart and can be guessed from by nobody without the key: HMAC-SHA256 in hex."""
        key = HKDF(hashes.SHA256(), length=_KEY, salt=None, info=b"digest").derive(self._raw_key())
        return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()

    @cached_property
    def _cipher(self) -> AESGCM:
        return AESGCM(self._raw_key())

    def _raw_key(self) -> bytes:
        return base64.b64decode(self.key.reveal())


def _create(path: Path) -> None:
    """Write a new key; `FileExistsError` when somebody else was faster."""
    create_private(path, base64.b64encode(AESGCM.generate_key(_KEY * 8)) + b"\n")


def _read(path: Path) -> Secret:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        msg = f'The key of the vault "{path}" may be read by others'
        raise StoreError(msg, hint=f"chmod 600 {path}")
    text = path.read_text("ascii", errors="replace").strip()
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY:
        msg = f'The key of the vault "{path}" is damaged'
        raise StoreError(msg, hint="Restore it from a backup; without it kept credentials are lost")
    return Secret(text)
