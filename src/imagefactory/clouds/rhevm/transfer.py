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
_PAUSED: Final = frozenset({"paused_system", "paused_user"})  # by its inactivity, or by a person
_ALIVE: Final = frozenset({"initializing", "resuming", "transferring", *_PAUSED})


def upload(
    disk: Path,
    identifier: str,
    form: str,
    engine: Engine,
    advance: Callable[[int], object],
    *,
    resumed: bool,
) -> None:
    """Fill the engine's disk with a file; its bytes are compared there before it counts as whole.

    `resumed`: an earlier life has made the disk, and may have filled it in part.
    """
    body = {
        "disk": {"id": identifier},
        "direction": "upload",
        "format": form,
        "inactivity_timeout": _IDLE,
    }
    if _alive(identifier, engine) is None:
        engine.settled(f"disks/{identifier}")
    transfer = engine.make(
        "imagetransfers", body, same=lambda thing: _moves(thing, identifier) and _is_alive(thing)
    )
    path = f"imagetransfers/{transfer['id']}"
    ticket = _Ticket.opened(_begun(path, engine), engine)
    begin = ticket.reached(disk) if resumed else 0
    ticket.send(disk, advance, begin=begin)
    if not ticket.holds(disk):
        if begin:  # what was there before was something else
            ticket.send(disk, advance, begin=0)
        if not begin or not ticket.holds(disk):
            msg = "The oVirt engine did not store the disk as it was sent"
            raise CloudError(msg)
    _finalize(path, engine)
    status = engine.settled(f"disks/{identifier}")
    if status != "ok":
        msg = f"The oVirt engine did not accept the disk that was sent; its status is {status}"
        raise CloudError(msg)


def is_usable(identifier: str, engine: Engine) -> bool:
    """Whether a disk that an earlier life has made can be filled."""
    if _alive(identifier, engine) is not None:
        return True
    for transfer in engine.listed("imagetransfers"):
        if _moves(transfer, identifier):
            path = f"imagetransfers/{transfer['id']}"
            engine.rest.settle(lambda path=path: _ended(path, engine))  # type: ignore[misc]
    return engine.settled(f"disks/{identifier}") == "ok"


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


def _alive(identifier: str, engine: Engine) -> Thing | None:
    """The transfer by which a disk can be filled."""
    transfers = engine.listed("imagetransfers")
    return next((one for one in transfers if _moves(one, identifier) and _is_alive(one)), None)


def _is_alive(transfer: Thing) -> bool:
    return transfer.get("phase") in _ALIVE


def _moves(transfer: Thing, disk: str) -> bool:
    return disk in {(transfer.get(key) or {}).get("id") for key in ("disk", "image")}


def _begun(path: str, engine: Engine) -> Thing:
    """A transfer that takes bytes."""

    def look() -> Thing | None:
        transfer = engine.show(path, fresh=True) or {}
        phase = transfer.get("phase")
        if phase in _PAUSED:
            engine.act(f"{path}/resume", {})
        if phase in _ALIVE and phase != "transferring":
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
    features: frozenset[str]

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
                    features = frozenset(content(answer).get("features", ()))
                    return cls(engine=engine, url=url, features=features)
            raise AssertionError

        return engine.rest.retry(open_first)

    def reached(self, disk: Path) -> int:
        """Where an earlier life ended, which sent one piece after the other: a few samples tell."""
        ends = [(start + len(data), data[-_SECTOR:]) for start, data in _pieces(disk)]
        there, missing = 0, len(ends)
        while there < missing:
            middle = (there + missing) // 2
            end, sample = ends[middle]
            if self._read(end - len(sample), len(sample)) == sample:
                there = middle + 1
            else:
                missing = middle
        return ends[there - 1][0] if there else 0

    def send(self, disk: Path, advance: Callable[[int], object], *, begin: int) -> None:
        """Write what is not empty, and zeros, which cost next to nothing, where it is."""
        size, at = disk.stat().st_size, 0
        for start, data in _pieces(disk):
            if start + len(data) > begin:
                self._zero(at, start)
                self._write(start, data)
            at = start + len(data)
            advance(at)
        self._zero(at, size)
        self._ask("PATCH", json={"op": "flush"})
        advance(size)

    def holds(self, disk: Path) -> bool:
        """Whether the bytes are there that were sent."""
        return self._is_summed(disk) if self._can_sum(disk) else self._is_read(disk)

    def _full(self) -> list[tuple[int, int]]:
        """The parts that are not known to be zeros."""
        if "extents" not in self.features:
            return [(0, 1 << 63)]
        extents = self._ask("GET", "/extents").json()
        return [(e["start"], e["start"] + e["length"]) for e in extents if not e.get("zero")]

    def _can_sum(self, disk: Path) -> bool:
        """Whether a sum of all that is there is one of the disk: a device may be longer than that."""
        if not {"checksum", "extents"} <= self.features:
            return False
        extents = self._ask("GET", "/extents").json()
        return bool(sum(extent["length"] for extent in extents) == disk.stat().st_size)

    def _is_summed(self, disk: Path) -> bool:
        words = {"algorithm": "blake2b", "block_size": str(_BLOCK)}
        answer = content(self._ask("GET", "/checksum", params=words))
        return bool(answer.get("checksum") == checksum(disk))

    def _is_read(self, disk: Path) -> bool:
        full, size, at = self._full(), disk.stat().st_size, 0
        for start, data in _pieces(disk):
            if not self._is_empty(at, start, full) or self._read(start, len(data)) != data:
                return False
            at = start + len(data)
        return self._is_empty(at, size, full)

    def _is_empty(self, start: int, end: int, full: list[tuple[int, int]]) -> bool:
        """Whether there are only zeros; what storage knows to be zeros is not read."""
        for first, last in full:
            for place in range(max(start, first), min(end, last), _PIECE):
                if self._read(place, min(_PIECE, end - place, last - place)).strip(b"\0"):
                    return False
        return True

    def _read(self, start: int, size: int) -> bytes:
        place = {"Range": f"bytes={start}-{start + size - 1}"}
        return self._ask("GET", headers=place, expect=(200, 206)).content

    def _write(self, start: int, data: bytes) -> None:
        place = {"Content-Range": f"bytes {start}-{start + len(data) - 1}/*"}
        self._ask("PUT", params={"flush": "n"}, headers=place, content=data)

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
