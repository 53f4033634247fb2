"""Does for all who ask in one turn of the event loop together what takes as long for many as for one."""

import asyncio
import threading

from imagefactory.core.errors import StoreError
from imagefactory.store.nonces import Nonces, Use


class Turns(threading.local):
    """Uses nonces up for requests: one transaction for all of a turn. Each thread has a loop of its own."""

    def __init__(self, nonces: Nonces) -> None:
        super().__init__()
        self._nonces = nonces
        self._asked: list[tuple[Use, asyncio.Future[bool]]] = []

    def use(self, use: Use) -> asyncio.Future[bool]:
        """Whether the nonce is used for the first time; the future may fail with `StoreError`."""
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._write)
        is_first: asyncio.Future[bool] = loop.create_future()
        self._asked.append((use, is_first))
        return is_first

    def _write(self) -> None:
        asked, self._asked = self._asked, []
        try:
            firsts = self._nonces.use([use for use, _ in asked])
        except StoreError as error:
            for _, is_first in asked:
                if not is_first.done():
                    is_first.set_exception(error)
            return
        for (_, is_first), first in zip(asked, firsts, strict=True):
            if not is_first.done():  # somebody who has hung up does not hear it
                is_first.set_result(first)
