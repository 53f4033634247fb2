"""Credentials of clouds, encrypted under a key that lies beside the database."""

import base64
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Self
from uuid import uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from imagefactory.core.errors import NotFound, StoreError
from imagefactory.core.secret import Secret
from imagefactory.store.database import Store
from imagefactory.store.files import sync_folder

_KEY: Final = 32  #: bytes: AES-256
_NONCE: Final = 12  #: bytes, as NIST SP 800-38D recommends for GCM


@dataclass(frozen=True, kw_only=True)
class Vault:
    """Secrets by reference, kept in the store's database under AES-256-GCM.

    The reference is authenticated too, so that nobody can exchange two secrets in the database. A
    secret is wiped with the record of the image that refers to it (`Store.delete`).
    """

    store: Store
    key: Secret  #: base64

    @classmethod
    def open(cls, store: Store, path: Path) -> Self:
        """The vault whose key is in this file, made where needed; `StoreError` if the key is no good."""
        with suppress(FileExistsError):
            if not path.exists():
                _create(path)
        return cls(store=store, key=_read(path))

    def put(self, secret: Secret) -> str:
        """Keep a secret; gives the reference under which `get` finds it."""
        ref = str(uuid4())
        nonce = secrets.token_bytes(_NONCE)
        # Any text can be kept: an encoding error would carry the secret along.
        plain = secret.reveal().encode("utf-8", "surrogatepass")
        sealed = self._cipher().encrypt(nonce, plain, ref.encode())
        self.store.keep_credentials(ref, nonce + sealed)
        return ref

    def get(self, ref: str) -> Secret:
        """The secret; `NotFound` when it is not kept, `StoreError` when it was tampered with."""
        sealed = self.store.credentials(ref)
        if sealed is None:
            msg = f'The credentials "{ref}" are not kept any more'
            raise NotFound(msg)
        try:
            opened = self._cipher().decrypt(sealed[:_NONCE], sealed[_NONCE:], ref.encode())
        except (InvalidTag, ValueError) as error:
            msg = f'The credentials "{ref}" cannot be decrypted'
            hint = "The vault's key is another one, or the database was tampered with"
            raise StoreError(msg, hint=hint) from error
        return Secret(opened.decode("utf-8", "surrogatepass"))

    def remove(self, ref: str) -> None:
        """Wipe a secret. Wiping what is gone is success."""
        self.store.wipe_credentials(ref)

    def sweep(self, *, older_than: timedelta = timedelta(hours=1)) -> None:
        """Wipe what no image refers to: left when a crash came between `put` and the image's record."""
        self.store.wipe_stray_credentials(older_than=older_than)

    def _cipher(self) -> AESGCM:
        return AESGCM(base64.b64decode(self.key.reveal()))


def _create(path: Path) -> None:
    """Write a new key; `FileExistsError` when somebody else was faster, whose key then stays whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(AESGCM.generate_key(_KEY * 8)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(new)
    finally:
        new.unlink()
    sync_folder(path.parent)


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
