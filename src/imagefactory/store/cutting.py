"""Cuts a body into pieces and chunks: along its format's own chunks, else where its content says."""

import errno
import hashlib
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import BinaryIO, Final, NamedTuple

from isal import isal_zlib

from imagefactory.core.deflate import CLUSTER, deflate, inflate
from imagefactory.core.spans import Span
from imagefactory.store.recipes import Kind, Piece, Recipe, framed
from imagefactory.store.rows import Body
from imagefactory.store.sparse import extents

_LITERAL: Final = 512  #: bytes up to which a chunk of its own would not pay
_BLOCK: Final = 4096  #: bytes, of file systems
_SHORTEST: Final = 4 * _BLOCK  #: bytes of a chunk
_LONGEST: Final = 32 * _BLOCK
_ODDS: Final = 8  #: one block in so many ends a chunk
_PIECE: Final = 256 * _BLOCK  #: bytes that are read at once
_AHEAD: Final = 64  # pieces that are in memory at once
_ZEROS: Final = bytes(1 << 20)


class Cut(NamedTuple):
    """One piece with what it is made from."""

    piece: Piece
    plain: bytes = b""  #: its bytes; none for zeros
    chunk: bytes = b""  #: what is kept under the digest in the piece
    streamed: bytes = b""  #: what it stands for in the stream
    apart: bool = False  #: whether that does not follow what is before it in the stream


class _Place(NamedTuple):
    """A part of the file that becomes a piece."""

    offset: int
    length: int
    how: Callable[[bytes], Cut] | None  #: None for a hole
    apart: bool = False


def cut(file: BinaryIO, spans: Sequence[Span], *, keep: Callable[[bytes, bytes], None]) -> Recipe:
    """The recipe of a body; `keep(digest, chunk)` is called for every chunk in it, in order."""
    size = os.fstat(file.fileno()).st_size
    whole = hashlib.sha256()
    pieces: list[Piece] = []
    stream = _Stream(keep)
    for piece, plain, chunk, streamed, apart in _cuts(file, _places(file, size, spans)):
        if piece.kind is Kind.ZEROS:
            for done in range(0, piece.length, len(_ZEROS)):
                whole.update(memoryview(_ZEROS)[: piece.length - done])
        whole.update(plain)
        if chunk:
            keep(piece.content, chunk)
        if streamed:
            stream.add(streamed, apart=apart)
        if piece.kind is Kind.ZEROS and pieces and pieces[-1].kind is Kind.ZEROS:
            pieces[-1] = Piece(Kind.ZEROS, pieces[-1].length + piece.length)
        else:
            pieces.append(piece)
    body = Body(size=size, sha256=whole.hexdigest())
    return Recipe(body=body, pieces=pieces, stream=stream.end())


class _Stream:
    """The clusters of a format one after another, cut into chunks as a raw disk is."""

    def __init__(self, keep: Callable[[bytes, bytes], None]) -> None:
        self._keep = keep
        self._held = bytearray()
        self._pieces: list[Piece] = []

    def add(self, content: bytes, *, apart: bool) -> None:
        """Add a cluster; `apart` from the one before it, a raw disk has zeros between the two."""
        if apart:
            self._cut()
        for at in range(0, len(content), _BLOCK):
            block = content[at : at + _BLOCK]
            if not block.strip(b"\0"):
                self._cut()
                self._pieces.append(Piece(Kind.ZEROS, len(block)))
                continue
            self._held += block
            if _ends(block, len(self._held)):
                self._cut()

    def end(self) -> tuple[Piece, ...]:
        """All pieces."""
        self._cut()
        return tuple(self._pieces)

    def _cut(self) -> None:
        if self._held:
            piece, _, chunk, *_ = _deflated(bytes(self._held))
            self._keep(piece.content, chunk)
            self._pieces.append(piece)
            self._held.clear()


def _ends(block: bytes | memoryview, length: int) -> bool:
    """Whether a chunk that is so long with its last block ends there."""
    if length >= _LONGEST:
        return True
    return length >= _SHORTEST and not isal_zlib.crc32(block) % _ODDS


def _places(file: BinaryIO, size: int, spans: Sequence[Span]) -> Iterator[_Place]:
    """All of a file in order. Spans that cannot be right are left out: they only say where to cut."""
    end = 0
    for span in spans:
        if span.length and span.offset >= end and span.offset + span.length <= size:
            yield from _between(file, end, span.offset)
            how = _framed if span.compressed else _streamed
            yield _Place(span.offset, span.length, how, span.apart)
            end = span.offset + span.length
    yield from _between(file, end, size)


def _between(file: BinaryIO, start: int, end: int) -> Iterator[_Place]:
    """Holes, and chunks of what is between them."""
    place = start
    for first, last in [*extents(file.fileno(), start, end), (end, end)]:
        if first > place:
            yield _Place(place, first - place, None)
        yield from _by_content(file.fileno(), first, last)
        place = last


def _by_content(handle: int, first: int, last: int) -> Iterator[_Place]:
    """Chunks that begin and end at blocks which only their content chooses.

    A package more or less moves all files behind it by some blocks: chunks of a fixed length would all
    be others, and two systems that differ in it would share a seventh of their chunks, not nine tenths.
    """
    start = place = first
    while place < last:
        edge = min(place // _BLOCK * _BLOCK + _PIECE, last)
        data = memoryview(os.pread(handle, edge - place, place))
        if len(data) < edge - place:
            raise OSError(errno.EIO, "The file became shorter while it was read")
        for block in _blocks(data, place):
            place += len(block)
            length = place - start
            if block == _ZEROS[: len(block)]:
                if length > len(block):
                    yield _Place(start, length - len(block), _deflated)
                yield _Place(place - len(block), len(block), None)
                start = place
            elif _ends(block, length):
                yield _Place(start, length, _deflated)
                start = place
    if place > start:
        yield _Place(start, place - start, _deflated)


def _blocks(data: memoryview, place: int) -> Iterator[memoryview]:
    """The blocks of a file in a part of it that begins anywhere."""
    ahead = -place % _BLOCK
    if ahead:
        yield data[:ahead]
    yield from (data[at : at + _BLOCK] for at in range(ahead, len(data), _BLOCK))


def _cuts(file: BinaryIO, places: Iterator[_Place]) -> Iterator[Cut]:
    """Cut by all processors; what they make comes in order."""
    waiting: deque[Future[Cut]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for place in places:
            waiting.append(pool.submit(_make, file.fileno(), place))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _make(handle: int, place: _Place) -> Cut:
    if place.how is None:
        return Cut(Piece(Kind.ZEROS, place.length))
    plain = os.pread(handle, place.length, place.offset)
    if len(plain) < place.length:
        raise OSError(errno.EIO, "The file became shorter while it was read")
    if not plain.strip(b"\0"):
        return Cut(Piece(Kind.ZEROS, place.length))
    if place.length <= _LITERAL:
        return Cut(Piece(Kind.LITERAL, place.length, plain), plain)
    return place.how(plain)._replace(apart=place.apart)


def _streamed(plain: bytes) -> Cut:
    return Cut(Piece(Kind.STREAMED, len(plain)), plain, streamed=plain)


def _framed(plain: bytes) -> Cut:
    """What deflating gives again; anything else is kept as it is."""
    if len(plain) <= 2 * CLUSTER:
        with suppress(zlib.error):
            content = inflate(plain)
            if content and deflate(content) == plain:
                checksum = isal_zlib.crc32(plain)
                piece = framed(len(plain), plain=len(content), checksum=checksum)
                return Cut(piece, plain, streamed=content)
    return Cut(Piece(Kind.CHUNK, len(plain), hashlib.sha256(plain).digest()), plain, plain)


def _deflated(plain: bytes) -> Cut:
    # Also where it does not become smaller: so it is in the formats that compress.
    chunk = deflate(plain)
    digest = hashlib.sha256(chunk).digest()
    return Cut(Piece(Kind.DEFLATED, len(plain), digest), plain, chunk)
