"""How a body is made of chunks: pieces in order, as a file that takes a hundredth of the body's place."""

import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from imagefactory.core.errors import StoreError
from imagefactory.store.packs import DIGEST
from imagefactory.store.rows import Body

_MAGIC: Final = b"IFRECIPE"
_HEAD: Final = struct.Struct(
    "<8sBQ32s32s"
)  # magic, version, length and digest of the body, own digest
_VERSION: Final = 1
_PIECE: Final = struct.Struct("<BQ")
_FASTEST: Final = 1


class Kind(IntEnum):
    """What a piece is made of."""

    ZEROS = 0
    LITERAL = 1  #: bytes that stand in the recipe
    CHUNK = 2  #: a chunk as it is
    DEFLATED = 3  #: what a chunk holds deflated


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a body, one after the last."""

    kind: Kind
    length: int  #: bytes of the body
    content: bytes = b""  #: the literal, or the digest of the chunk


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All pieces of one body."""

    body: Body
    pieces: Sequence[Piece]

    def chunks(self) -> Iterator[bytes]:
        """The digests of the chunks that it needs."""
        return (piece.content for piece in self.pieces if piece.kind >= Kind.CHUNK)

    def dumps(self) -> bytes:
        packed = zlib.compress(b"".join(map(_pack, self.pieces)), _FASTEST)
        sha256, own = bytes.fromhex(self.body.sha256), hashlib.sha256(packed).digest()
        return _HEAD.pack(_MAGIC, _VERSION, self.body.size, sha256, own) + packed

    @classmethod
    def loads(cls, data: bytes, *, name: str) -> Self:
        """`StoreError` when it is damaged; `name` is the file's, for the message."""
        if len(data) >= _HEAD.size:
            magic, version, size, sha256, own = _HEAD.unpack_from(data)
            packed = data[_HEAD.size :]
            if (magic, version) == (_MAGIC, _VERSION) and hashlib.sha256(packed).digest() == own:
                pieces = tuple(_unpack(zlib.decompress(packed)))
                return cls(body=Body(size=size, sha256=sha256.hex()), pieces=pieces)
        msg = f'The recipe "{name}" of a body is damaged'
        raise StoreError(msg, hint="Restore it from a backup, or delete the image")


def _pack(piece: Piece) -> bytes:
    return _PIECE.pack(piece.kind, piece.length) + piece.content


def _unpack(data: bytes) -> Iterator[Piece]:
    place = 0
    while place < len(data):
        number, length = _PIECE.unpack_from(data, place)
        kind, start = Kind(number), place + _PIECE.size
        place = start + {Kind.ZEROS: 0, Kind.LITERAL: length}.get(kind, DIGEST)
        yield Piece(kind, length, data[start:place])
