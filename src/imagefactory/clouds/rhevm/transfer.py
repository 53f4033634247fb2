"""Brings a disk's content to oVirt, by an image transfer of the engine and the ovirt-imageio of a host."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from imagefactory.clouds.rhevm.engine import Engine, Thing
from imagefactory.core.errors import CloudError
from imagefactory.engine.formats import sparse
from imagefactory.plugins.rest import Refusal, content

_PIECE: Final = 8 << 20  # bytes
_SECTOR: Final = 4096  # bytes that storage writes at once
_BLOCK: Final = 4 << 20  # bytes that ovirt-imageio hashes at once
_DIGEST: Final = 32  # bytes
_IDLE: Final = 600  # seconds that a transfer may rest
_REACHING: Final = 10.0  # seconds that an address may take to answer
_ENDED: Final = ("finished", "cancelled")
_OVER: Final = frozenset({404, 409})


def upload(
    disk: Path, identifier: str, form: str, engine: Engine, advance: Callable[[int], object]
) -> None:
    """Fill the engine's new disk with a file; its bytes are compared there before it counts as whole."""
    body = {
        "disk": {"id": identifier},
        "direction": "upload",
        "format": form,
        "inactivity_timeout": _IDLE,
    }
    transfer = engine.make("imagetransfers", body, same=lambda thing: _moves(thing, identifier))
    path = f"imagetransfers/{transfer['id']}"
    ticket = _Ticket.opened(_begun(path, engine), engine)
    ticket.send(disk, advance)
    ticket.compare(disk)
    _finalize(path, engine)
    status = engine.settled(f"disks/{identifier}")
    if status != "ok":
        msg = f"The oVirt engine did not accept the disk that was sent; its status is {status}"
        raise CloudError(msg)


def cancel(identifier: str, engine: Engine) -> None:
    """End the transfers to a disk."""
    for transfer in engine.listed("imagetransfers"):
        if _moves(transfer, identifier):
            path = f"imagetransfers/{transfer['id']}"
            try:
                engine.act(f"{path}/cancel", {})
            except Refusal as error:
                if error.status not in _OVER:
                    raise
            engine.rest.settle(lambda path=path: _ended(path, engine) or None)  # type: ignore[misc]


def _moves(transfer: Thing, disk: str) -> bool:
    return disk in {(transfer.get(key) or {}).get("id") for key in ("disk", "image")}


def _begun(path: str, engine: Engine) -> Thing:
    """A transfer that takes bytes."""

    def look() -> Thing | None:
        transfer = engine.show(path, fresh=True) or {}
        phase = transfer.get("phase")
        if phase == "initializing":
            return None
        if phase != "transferring":
            msg = f"The oVirt engine cannot take a disk: the transfer is {phase}"
            raise CloudError(
                msg, hint="Look at the engine's events, and at ovirt-imageio of its hosts"
            )
        return transfer

    return engine.rest.settle(look)


def _finalize(path: str, engine: Engine) -> None:
    """End a transfer well. A refusal may be the answer to a second try, whose first has done it."""
    try:
        engine.act(f"{path}/finalize", {})
    except Refusal as error:
        there = engine.show(path) or {}
        if error.status not in _OVER or there.get("phase") == "transferring":
            raise
    phase = engine.rest.settle(lambda: _ended(path, engine))
    if phase not in {"finished_success", "gone"}:
        msg = f"The oVirt engine did not accept the disk that was sent: the transfer is {phase}"
        raise CloudError(msg)


def _ended(path: str, engine: Engine) -> str | None:
    """The last phase of a transfer; the engine forgets those that have ended."""
    transfer = engine.show(path)
    phase = "gone" if transfer is None else str(transfer.get("phase"))
    return phase if phase == "gone" or phase.startswith(_ENDED) else None


@dataclass(frozen=True, kw_only=True)
class _Ticket:
    """A disk at ovirt-imageio. Its address is the right to write there."""

    engine: Engine
    url: str
    has_checksums: bool

    @classmethod
    def opened(cls, transfer: Thing, engine: Engine) -> "_Ticket":
        """The host itself, or, where only the engine is within reach, its proxy."""
        urls = [transfer[key] for key in ("transfer_url", "proxy_url") if transfer.get(key)]
        if not urls:
            msg = "The oVirt engine gave no address to which a disk could be sent"
            raise CloudError(msg)

        def open_first() -> "_Ticket":
            for url in urls:
                try:
                    answer = engine.rest.once("OPTIONS", url, timeout=_REACHING)
                except httpx2.TransportError:
                    if url == urls[-1]:
                        raise
                else:
                    features = content(answer).get("features", ())
                    return cls(engine=engine, url=url, has_checksums="checksum" in features)
            raise AssertionError

        return engine.rest.retry(open_first)

    def send(self, disk: Path, advance: Callable[[int], object]) -> None:
        """Write what is not empty, and zeros, which cost next to nothing, where it is."""
        size, at = disk.stat().st_size, 0
        for start, data in _pieces(disk):
            self._zero(at, start)
            at = start + len(data)
            place = {"Content-Range": f"bytes {start}-{at - 1}/*"}
            self._ask("PUT", params={"flush": "n"}, headers=place, content=data)
            advance(at)
        self._zero(at, size)
        self._ask("PATCH", json={"op": "flush"})
        advance(size)

    def compare(self, disk: Path) -> None:
        """`CloudError` when other bytes are there than were sent."""
        if not (self._is_summed(disk) if self._can_sum(disk) else self._is_read(disk)):
            msg = "The oVirt engine did not store the disk as it was sent"
            raise CloudError(msg)

    def _can_sum(self, disk: Path) -> bool:
        """Whether a sum of all that is there is one of the disk: a device may be longer than that."""
        if not self.has_checksums:
            return False
        extents = self._ask("GET", "/extents").json()
        return bool(sum(extent["length"] for extent in extents) == disk.stat().st_size)

    def _is_summed(self, disk: Path) -> bool:
        words = {"algorithm": "blake2b", "block_size": str(_BLOCK)}
        answer = content(self._ask("GET", "/checksum", params=words))
        return bool(answer.get("checksum") == checksum(disk))

    def _is_read(self, disk: Path) -> bool:
        for start, data in _pieces(disk):
            place = {"Range": f"bytes={start}-{start + len(data) - 1}"}
            if self._ask("GET", headers=place, expect=(200, 206)).content != data:
                return False
        return True

    def _zero(self, start: int, end: int) -> None:
        if end > start:
            self._ask("PATCH", json={"op": "zero", "offset": start, "size": end - start})

    def _ask(self, method: str, below: str = "", **words: Any) -> httpx2.Response:
        patience = float(self.engine.login.timeout)
        return self.engine.rest.ask(method, self.url + below, timeout=patience, **words)


def checksum(disk: Path) -> str:
    """What ovirt-imageio calls the checksum of a disk: a BLAKE2b of the BLAKE2b of each of its blocks."""
    total = hashlib.blake2b(digest_size=_DIGEST)
    empty = hashlib.blake2b(bytes(_BLOCK), digest_size=_DIGEST).digest()
    with disk.open("rb", buffering=0) as file:
        size, at = os.fstat(file.fileno()).st_size, 0
        for start in _blocks(file.fileno(), size):
            total.update(empty * ((start - at) // _BLOCK))
            data = os.pread(file.fileno(), _BLOCK, start)
            total.update(hashlib.blake2b(data, digest_size=_DIGEST).digest())
            at = start + len(data)
        total.update(empty * ((size - at) // _BLOCK))
        if size > at and (rest := (size - at) % _BLOCK):
            total.update(hashlib.blake2b(bytes(rest), digest_size=_DIGEST).digest())
    return total.hexdigest()


def _blocks(handle: int, size: int) -> Iterator[int]:
    """The starts of the blocks that are no holes."""
    done = 0
    for begin, end in sparse.extents(handle, size):
        for start in range(max(begin // _BLOCK * _BLOCK, done), end, _BLOCK):
            done = start + _BLOCK
            yield start


def _pieces(disk: Path) -> Iterator[tuple[int, bytes]]:
    """The parts of a disk that are not empty, with their places."""
    with disk.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        for begin, end in sparse.extents(file.fileno(), size):
            for start in range(begin, end, _PIECE):
                data = os.pread(file.fileno(), min(_PIECE, end - start), start)
                if kept := data.lstrip(b"\0"):
                    first = (len(data) - len(kept)) // _SECTOR * _SECTOR
                    last = -(-len(data.rstrip(b"\0")) // _SECTOR) * _SECTOR
                    yield start + first, data[first:last]
