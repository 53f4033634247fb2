"""Tells receivers what becomes of images: patiently, in order, and never in the way of a build."""

import hashlib
import hmac
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from imagefactory.builds.receivers import NOBODY
from imagefactory.core.errors import FetchError, StoreError
from imagefactory.core.images import now
from imagefactory.core.secret import Secret
from imagefactory.engine.addresses import Network
from imagefactory.engine.fetch import Reach
from imagefactory.engine.mirrors import keyed, shown
from imagefactory.engine.put import Undelivered, put
from imagefactory.store.database import Store
from imagefactory.store.outbox import Callback

log = logging.getLogger(__name__)

SIGNATURE: Final = "X-Imagefactory-Signature"
DELIVERY: Final = "X-Imagefactory-Delivery"


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often and how long a receiver is tried."""

    threads: int = 4
    look: float = 0.5  #: seconds between looks for what is due
    limit: float = 10.0  #: seconds for one attempt
    farewell: float = 2.0  #: seconds for what is due at the end
    lease: timedelta = timedelta(minutes=2)  #: after which an attempt counts as lost in a crash
    pause: timedelta = timedelta(
        seconds=1
    )  #: before the second attempt; doubled for each further one
    longest: timedelta = timedelta(minutes=10)  #: pause
    life: timedelta = timedelta(days=1)  #: of a message


@dataclass(frozen=True, kw_only=True)
class Postman:
    """Delivers what lies in a store's outbox. Several may do so, in any number of processes.

    A message is sent at least once, and before those that came after it for the same image and
    receiver; a receiver that is slow or dead holds up nobody else but through the threads it takes.
    """

    store: Store
    secrets: Mapping[str, Secret]  #: URL prefix of receivers -> what signs the messages to them
    allowed: tuple[Network, ...]  #: where receivers may be, beside global addresses
    pace: Pace = Pace()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Deliver in threads of this process while the block runs, and a moment longer what is due then.

        What is being sent after that is let go of: the next life sends it again.
        """
        stop = threading.Event()
        threads = [
            threading.Thread(target=self._tour, args=(stop,), name=f"callbacks-{n}", daemon=True)
            for n in range(self.pace.threads)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            ends = time.monotonic() + self.pace.farewell
            for thread in threads:
                thread.join(max(0.0, ends - time.monotonic()))

    def deliver_next(self) -> bool:
        """Try one message that is due; whether there was one."""
        callback = self.store.claim_callback(lease=self.pace.lease)
        if callback is None:
            return False
        try:
            self._send(callback)
        except Undelivered as error:
            self._try_later(callback, str(error))
            return True
        except FetchError as error:
            log.warning("%s. %s (image %s)", error.brief, error.hint, callback.image_id)
        self.store.end_callback(callback)
        return True

    def _tour(self, stop: threading.Event) -> None:
        while True:
            stopping = stop.is_set()
            try:
                found = self.deliver_next()
            except StoreError as error:
                log.warning("Callbacks cannot be looked at: %s", error)
                found = False
            if stopping and not found:
                return
            if not found:
                stop.wait(self.pace.look)

    def _send(self, callback: Callback) -> None:
        if callback.url == NOBODY:
            return
        body = callback.body.encode()
        headers = {"Content-Type": "application/json", DELIVERY: str(callback.id)}
        secret = keyed(callback.url, self.secrets)
        if secret is not None:
            headers[SIGNATURE] = signature(secret, body)
        reach = Reach(allowed=self.allowed)
        put(callback.url, body, headers=headers, reach=reach, limit=self.pace.limit)
        log.debug("Told %s of %s", shown(callback.url), callback.image_id)

    def _try_later(self, callback: Callback, reason: str) -> None:
        receiver, attempts = shown(callback.url), callback.attempts
        moment = now()
        if moment - callback.created > self.pace.life:
            text = 'The callback "%s" of the image %s is given up after %d attempts: %s'
            log.warning(text, receiver, callback.image_id, attempts, reason)
            self.store.end_callback(callback)
            return
        pause = min(self.pace.pause * 2 ** min(attempts - 1, 20), self.pace.longest)
        log.info("The callback %s failed %d times: %s", receiver, attempts, reason)
        self.store.postpone_callback(callback, until=moment + pause)


def signature(secret: Secret, body: bytes) -> str:
    """What proves to a receiver that a message comes from us: HMAC-SHA256 (RFC 2104) of the body."""
    return "sha256=" + hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()
