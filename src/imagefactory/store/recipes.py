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
_VERSION: Final = 2
_WITHOUT_STREAM: Final = 1  #: the version of recipes whose body has only pieces of its own
_LENGTH: Final = struct.Struct("<Q")
_FRAMED: Final = struct.Struct("<QI")  # bytes of the stream, and the CRC-32 of what they become
_PIECE: Final = struct.Struct("<BQ")
_FASTEST: Final = 1


class Kind(IntEnum):
    """What a piece is made of."""

    ZEROS = 0
    LITERAL = 1  #: bytes that stand in the recipe
    CHUNK = 2  #: a chunk as it is
    DEFLATED = 3  #: what a chunk holds deflated
    STREAMED = 4  #: the next bytes of the stream
    FRAMED = (
        5  #: the next bytes of the stream, deflated; how many, and a checksum, stand in the recipe
    )


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a body, one after the last."""

    kind: Kind
    length: int  #: bytes of the body
    content: bytes = (
        b""  #: the literal, the digest of the chunk, or length and checksum of `FRAMED`
    )

    @property
    def streamed(self) -> int:
        """How many bytes of the stream it stands for."""
        match self.kind:
            case Kind.STREAMED:
                return self.length
            case Kind.FRAMED:
                return int(_FRAMED.unpack(self.content)[0])
            case _:
                return 0

    @property
    def checksum(self) -> int:
        """The CRC-32 of the bytes of the body, where they are deflated again."""
        return int(_FRAMED.unpack(self.content)[1])


def framed(length: int, *, plain: int, checksum: int) -> Piece:
    """A piece that is so many bytes of the stream, deflated; the CRC-32 is of those of the body."""
    return Piece(Kind.FRAMED, length, _FRAMED.pack(plain, checksum))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All pieces of one body.

    A format cuts a disk every 64 KiB. Its clusters are told as parts of a stream: the disk without what is not
    in the file, cut as a raw disk is. So all formats of a disk, and of another that differs little, share
    their chunks.
    """

    body: Body
    pieces: Sequence[Piece]
    stream: Sequence[Piece] = ()

    def chunks(self) -> Iterator[bytes]:
        """The digests of the chunks that it needs."""
        pieces = (*self.pieces, *self.stream)
        return (piece.content for piece in pieces if piece.kind in {Kind.CHUNK, Kind.DEFLATED})

    def dumps(self) -> bytes:
        pieces, stream = (b"".join(map(_pack, part)) for part in (self.pieces, self.stream))
        packed = zlib.compress(_LENGTH.pack(len(pieces)) + pieces + stream, _FASTEST)
        sha256, own = bytes.fromhex(self.body.sha256), hashlib.sha256(packed).digest()
        return _HEAD.pack(_MAGIC, _VERSION, self.body.size, sha256, own) + packed

    @classmethod
    def loads(cls, data: bytes, *, name: str) -> Self:
        """`StoreError` when it is damaged; `name` is the file's, for the message."""
        if len(data) >= _HEAD.size:
            magic, version, size, sha256, own = _HEAD.unpack_from(data)
            packed = data[_HEAD.size :]
            if magic == _MAGIC and hashlib.sha256(packed).digest() == own:
                content, body = zlib.decompress(packed), Body(size=size, sha256=sha256.hex())
                if version == _WITHOUT_STREAM:
                    return cls(body=body, pieces=tuple(_unpack(content)))
                if version == _VERSION:
                    end = _LENGTH.size + _LENGTH.unpack_from(content)[0]
                    pieces = tuple(_unpack(content[_LENGTH.size : end]))
                    return cls(body=body, pieces=pieces, stream=tuple(_unpack(content[end:])))
        msg = f'The recipe "{name}" of a body is damaged'
        raise StoreError(msg, hint="Restore it from a backup, or delete the image")


def _pack(piece: Piece) -> bytes:
    return _PIECE.pack(piece.kind, piece.length) + piece.content


def _unpack(data: bytes) -> Iterator[Piece]:
    place = 0
    while place < len(data):
        number, length = _PIECE.unpack_from(data, place)
        kind, start = Kind(number), place + _PIECE.size
        lengths = {
            Kind.ZEROS: 0,
            Kind.LITERAL: length,
            Kind.STREAMED: 0,
            Kind.FRAMED: _FRAMED.size,
        }
        place = start + lengths.get(kind, DIGEST)
        yield Piece(kind, length, data[start:place])
