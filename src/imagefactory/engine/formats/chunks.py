"""A disk as a list of chunks: each 64 KiB cluster deflated once, for every format that wants it.

Raw deflate (RFC 1951) is what compressed qcow2 clusters are, what a streamOptimized grain holds in a
zlib frame, and what a gzip stream is made of; so one pass over a disk serves all of them.
"""

import os
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Protocol

from isal import isal_zlib

from imagefactory.engine.formats.sparse import extents

CLUSTER: Final = 1 << 16  #: bytes
FINAL: Final = (
    b"\x03\x00"  #: an empty last block: ends a deflate stream that a sync flush left open
)
_ZERO: Final = bytes(CLUSTER)
_BATCH: Final = 32  # clusters that one thread takes at a time
_LEVEL: Final = 1  # of ISA-L: a tenth of zlib's time for a tenth more bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """One cluster that is not all zeros."""

    index: int  #: its place in the disk, in clusters
    deflated: bytes  #: ends on a byte, and not with a final block; add `FINAL` to end it
    crc32: int  #: of the plain bytes
    adler32: int  #: of the plain bytes
    plain: bytes | None  #: kept only where deflating did not make it smaller


class Framing(Protocol):
    """A format in the making: it takes the chunks in order, then is finished."""

    def add(self, chunk: Chunk) -> None: ...

    def finish(self) -> None: ...


def write(
    disk: Path,
    framings: Sequence[Framing],
    *,
    threads: int = 2,
    advance: Callable[[int], None] = lambda _position: None,
) -> None:
    """Read a raw disk once and frame its chunks in every format; holes and zeros are not touched.

    `advance(position)` is called with the bytes that lie behind, and may raise to stop.
    """
    for chunk in chunks(disk, threads=threads):
        for framing in framings:
            framing.add(chunk)
        advance(chunk.index * CLUSTER)
    for framing in framings:
        framing.finish()
    advance(disk.stat().st_size)


def chunks(disk: Path, *, threads: int = 2) -> Iterator[Chunk]:
    """The chunks of a raw disk in order, deflated by so many threads, few of them in memory at once."""
    with disk.open("rb", buffering=0) as file, ThreadPoolExecutor(threads) as pool:
        handle = file.fileno()
        batches = _batches(data_clusters(handle))
        waiting: deque[Future[list[Chunk]]] = deque()
        try:
            for batch in batches:
                waiting.append(pool.submit(_deflate_all, handle, batch))
                if len(waiting) > 4 * threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def data_clusters(handle: int) -> Iterator[int]:
    """The clusters of an open file that are not wholly in a hole, in order."""
    after = 0
    for start, end in extents(handle, os.fstat(handle).st_size):
        first = max(start // CLUSTER, after)
        after = -(-end // CLUSTER)
        yield from range(first, after)


def _batches(clusters: Iterable[int]) -> Iterator[list[int]]:
    iterator = iter(clusters)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _deflate_all(handle: int, clusters: Sequence[int]) -> list[Chunk]:
    return [chunk for index in clusters if (chunk := _deflate(handle, index)) is not None]


def _deflate(handle: int, index: int) -> Chunk | None:
    plain = os.pread(handle, CLUSTER, index * CLUSTER).ljust(CLUSTER, b"\0")
    if plain == _ZERO:
        return None
    stream = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = stream.compress(plain) + stream.flush(isal_zlib.Z_SYNC_FLUSH)
    return Chunk(
        index=index,
        deflated=deflated,
        crc32=isal_zlib.crc32(plain),
        adler32=isal_zlib.adler32(plain),
        plain=plain if len(deflated) + len(FINAL) >= CLUSTER else None,
    )
