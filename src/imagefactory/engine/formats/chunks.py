"""A disk as a list of chunks: each 64 KiB cluster compressed once, for every format that wants it.

Raw deflate (RFC 1951) is what compressed qcow2 clusters are, what a streamOptimized grain holds in a
zlib frame, and what a gzip stream is made of; so one pass over a disk serves all of them.
"""

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Literal, Protocol

import zstandard
from isal import isal_zlib

from imagefactory.core.deflate import CLUSTER, deflate
from imagefactory.core.spans import Span
from imagefactory.engine.formats.sparse import extents

Codec = Literal["plain", "deflate", "zstd"]

_ZERO: Final = bytes(CLUSTER)
_BATCH: Final = 16  # clusters that one thread takes at a time
_AHEAD: Final = (
    2  # batches for each thread that wait to be written; eight disks may be in the making
)
_ZSTD_LEVEL: Final = 3


@dataclass(frozen=True, slots=True)
class Chunk:
    """One cluster that is not all zeros. What no framing asks for is empty."""

    index: int  #: its place in the disk, in clusters
    plain: bytes  #: its bytes; zeros behind the end of the disk
    deflated: bytes  #: ends on a byte, and not with a final block; add `FINAL` to end it
    zstd: bytes  #: one frame (RFC 8878)
    crc32: int  #: of the plain bytes, where they are deflated
    adler32: int  #: of the plain bytes, where they are deflated


class Framing(Protocol):
    """A format in the making: it takes the chunks in order, then is finished."""

    spans: list[Span]  #: where it has put chunks as they are

    @property
    def codec(self) -> Codec: ...

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
    codecs = {framing.codec for framing in framings}
    following = 0
    for chunk in chunks(disk, codecs=codecs, threads=threads):
        for framing in framings:
            known = len(framing.spans)
            framing.add(chunk)
            if chunk.index != following:
                framing.spans[known:] = [s._replace(apart=True) for s in framing.spans[known:]]
        following = chunk.index + 1
        advance(chunk.index * CLUSTER)
    for framing in framings:
        framing.finish()
    advance(disk.stat().st_size)


def chunks(disk: Path, *, codecs: Collection[Codec], threads: int = 2) -> Iterator[Chunk]:
    """The chunks of a raw disk in order, compressed by so many threads, few of them in memory at once."""
    with disk.open("rb", buffering=0) as file, ThreadPoolExecutor(threads) as pool:
        handle = file.fileno()
        batches = _batches(data_clusters(handle))
        waiting: deque[Future[list[Chunk]]] = deque()
        try:
            for batch in batches:
                waiting.append(pool.submit(_compress_all, handle, batch, codecs))
                if len(waiting) > _AHEAD * threads:
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


def used_clusters(disk: Path) -> list[int]:
    """The clusters that are not all zeros, whatever the file system keeps as holes: those of `chunks`."""
    with disk.open("rb", buffering=0) as file:
        return [index for index in data_clusters(file.fileno()) if _read(file.fileno(), index)]


def zstd_frame(plain: bytes) -> bytes:
    """One frame, which tells how long its content is."""
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(plain)


def _batches(clusters: Iterable[int]) -> Iterator[list[int]]:
    iterator = iter(clusters)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _read(handle: int, index: int) -> bytes:
    """A whole cluster; nothing when it is all zeros."""
    plain = os.pread(handle, CLUSTER, index * CLUSTER).ljust(CLUSTER, b"\0")
    return b"" if plain == _ZERO else plain


def _compress_all(handle: int, clusters: Sequence[int], codecs: Collection[Codec]) -> list[Chunk]:
    read = ((index, _read(handle, index)) for index in clusters)
    return [_compress(index, plain, codecs) for index, plain in read if plain]


def _compress(index: int, plain: bytes, codecs: Collection[Codec]) -> Chunk:
    deflated = "deflate" in codecs
    return Chunk(
        index=index,
        plain=plain,
        deflated=deflate(plain) if deflated else b"",
        zstd=zstd_frame(plain) if "zstd" in codecs else b"",
        crc32=isal_zlib.crc32(plain) if deflated else 0,
        adler32=isal_zlib.adler32(plain) if deflated else 0,
    )
