"""Cuts a body into pieces and chunks: along its format's own chunks, else every 64 KiB."""

import errno
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, Final, NamedTuple

from imagefactory.core.deflate import CLUSTER, deflate
from imagefactory.core.spans import Span
from imagefactory.store.recipes import Kind, Piece, Recipe
from imagefactory.store.rows import Body
from imagefactory.store.sparse import extents

_LITERAL: Final = 512  #: bytes up to which a chunk of its own would not pay
_AHEAD: Final = 64  # pieces that are in memory at once
_ZEROS: Final = bytes(1 << 20)


class Cut(NamedTuple):
    """One piece with what it is made from."""

    piece: Piece
    plain: bytes = b""  #: its bytes; none for zeros
    chunk: bytes = b""  #: what is kept under the digest in the piece


class _Place(NamedTuple):
    """A part of the file that becomes a piece."""

    offset: int
    length: int
    how: Callable[[bytes], Cut] | None  #: None for a hole


def cut(file: BinaryIO, spans: Sequence[Span], *, keep: Callable[[bytes, bytes], None]) -> Recipe:
    """The recipe of a body; `keep(digest, chunk)` is called for every chunk in it, in order."""
    size = os.fstat(file.fileno()).st_size
    whole = hashlib.sha256()
    pieces: list[Piece] = []
    for piece, plain, chunk in _cuts(file, _places(file, size, spans)):
        if piece.kind is Kind.ZEROS:
            for done in range(0, piece.length, len(_ZEROS)):
                whole.update(memoryview(_ZEROS)[: piece.length - done])
        whole.update(plain)
        if piece.kind >= Kind.CHUNK:
            keep(piece.content, chunk)
        if piece.kind is Kind.ZEROS and pieces and pieces[-1].kind is Kind.ZEROS:
            pieces[-1] = Piece(Kind.ZEROS, pieces[-1].length + piece.length)
        else:
            pieces.append(piece)
    return Recipe(body=Body(size=size, sha256=whole.hexdigest()), pieces=pieces)


def _places(file: BinaryIO, size: int, spans: Sequence[Span]) -> Iterator[_Place]:
    """All of a file in order. Spans that cannot be right are left out: they only say where to cut."""
    end = 0
    for span in spans:
        if span.length and span.offset >= end and span.offset + span.length <= size:
            yield from _between(file, end, span.offset)
            yield _Place(span.offset, span.length, _as_it_is if span.compressed else _deflated)
            end = span.offset + span.length
    yield from _between(file, end, size)


def _between(file: BinaryIO, start: int, end: int) -> Iterator[_Place]:
    """Holes, and what ends where a cluster of the file does."""
    place = start
    for first, last in [*extents(file.fileno(), start, end), (end, end)]:
        if first > place:
            yield _Place(place, first - place, None)
        for edge in range(first // CLUSTER * CLUSTER, last, CLUSTER):
            place = max(edge, first)
            yield _Place(place, min(edge + CLUSTER, last) - place, _deflated)
        place = last


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
    return place.how(plain)


def _as_it_is(plain: bytes) -> Cut:
    return Cut(Piece(Kind.CHUNK, len(plain), hashlib.sha256(plain).digest()), plain, plain)


def _deflated(plain: bytes) -> Cut:
    # Also where it does not become smaller: so it is in the formats that compress.
    chunk = deflate(plain)
    digest = hashlib.sha256(chunk).digest()
    return Cut(Piece(Kind.DEFLATED, len(plain), digest), plain, chunk)
