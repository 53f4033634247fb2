"""Credentials of clouds, encrypted under a key that lies beside the database."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self
from uuid import uuid4

from imagefactory.core.errors import NotFound, StoreError
from imagefactory.core.secret import Secret
from imagefactory.store.database import Store
from imagefactory.store.sealing import Seal


@dataclass(frozen=True, kw_only=True)
class Vault:
    """Secrets by reference, kept in the store's database under AES-256-GCM.

    The reference is authenticated too, so that nobody can exchange two secrets in the database. A
    secret is wiped with the record of the image that refers to it (`Store.delete`).
    """

    store: Store
    seal: Seal

    @classmethod
    def open(cls, store: Store, path: Path) -> Self:
        """The vault whose key is in this file, made where needed; `StoreError` if the key is no good."""
        return cls(store=store, seal=Seal.open(path))

    def put(self, secret: Secret) -> str:
        """Keep a secret; gives the reference under which `get` finds it."""
        ref = str(uuid4())
        self.store.keep_credentials(ref, self.seal.close_up(secret.reveal(), of=ref))
        return ref

    def get(self, ref: str) -> Secret:
        """The secret; `NotFound` when it is not kept, `StoreError` when it was tampered with."""
        sealed = self.store.credentials(ref)
        if sealed is None:
            msg = f'The credentials "{ref}" are not kept any more'
            raise NotFound(msg)
        opened = self.seal.open_up(sealed, of=ref)
        if opened is None:
            msg = f'The credentials "{ref}" cannot be decrypted'
            hint = "The vault's key is another one, or the database was tampered with"
            raise StoreError(msg, hint=hint)
        return Secret(opened)

    def remove(self, ref: str) -> None:
        """Wipe a secret. Wiping what is gone is success."""
        self.store.wipe_credentials(ref)

    def sweep(self, *, older_than: timedelta = timedelta(hours=1)) -> None:
        """Wipe what no image refers to: left when a crash came between `put` and the image's record."""
        self.store.wipe_stray_credentials(older_than=older_than)
