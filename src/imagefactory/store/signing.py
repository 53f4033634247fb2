"""Signs what a factory says of its images, with a key that lies beside the database."""

import hashlib
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from imagefactory.core.errors import ConfigError
from imagefactory.store.files import create_private, replacing

KEY: Final = "signing.key"  #: the names of the files, in the state folder
PUBLIC: Final = "signing.pub"
_SHARED: Final = 0o644


@dataclass(frozen=True, kw_only=True)
class Signer:
    """An Ed25519 key."""

    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def open(cls, state: Path, *, own: str = "") -> Self:
        """The signer of a factory: with the operator's `own` key, or one that is made where needed.

        The public half is written into the state folder, for those who verify elsewhere. `ConfigError`
        if the key is no good.
        """
        path = Path(own) if own else state / KEY
        with suppress(FileExistsError):
            if not own and not path.exists():
                _create(path)
        signer = cls(private=_read(path))
        public = state / PUBLIC
        if not public.exists() or public.read_bytes() != signer.public:
            with replacing(public, mode=_SHARED) as file:
                file.write(signer.public)
        return signer

    @property
    def public(self) -> bytes:
        """The public key in PEM."""
        public = self.private.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def keyid(self) -> str:
        """The SHA-256 of the public key (DER), in hex."""
        public = self.private.public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(der).hexdigest()

    def sign(self, content: bytes) -> bytes:
        """The signature of these bytes."""
        return self.private.sign(content)

    def has_signed(self, content: bytes, signature: bytes) -> bool:
        """Whether this is our signature of these bytes."""
        try:
            self.private.public_key().verify(signature, content)
        except InvalidSignature:
            return False
        return True


def _create(path: Path) -> None:
    """Write a new key; `FileExistsError` when somebody else was faster."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    create_private(path, pem)


def _read(path: Path) -> Ed25519PrivateKey:
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            msg = f'The signing key "{path}" may be read by others'
            raise ConfigError(msg, hint=f"chmod 600 {path}")
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        msg = f'The signing key "{path}" cannot be read: {error.strerror}'
        raise ConfigError(msg) from error
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None  # what is wrong might quote the key
    if not isinstance(key, Ed25519PrivateKey):
        msg = f'The signing key "{path}" is no Ed25519 key in PEM, without a passphrase'
        raise ConfigError(msg, hint='Make one with "openssl genpkey -algorithm ed25519"')
    return key
