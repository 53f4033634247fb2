"""Reads a body that is kept as chunks, from any place, and checks every chunk that it reads."""

import errno
import hashlib
import io
import zlib
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, Self

from isal import isal_zlib

from imagefactory.core.deflate import deflate, inflate
from imagefactory.core.errors import StoreError
from imagefactory.store.packs import Packs
from imagefactory.store.recipes import Kind, Piece, Recipe


class ChunkedBody(io.RawIOBase):
    """A body as a file to read; it stays readable while its chunks are collected.

    A damaged chunk is a `StoreError` that names the range of bytes in the body, and the image.
    """

    def __init__(
        self, recipe: Recipe, *, chunks: Mapping[bytes, tuple[BinaryIO, int, int]], name: str
    ) -> None:
        """`chunks` are open files with places and lengths; they are closed with this one."""
        self._recipe = recipe
        self._chunks = chunks
        self._name = name
        self._starts = [0, *accumulate(piece.length for piece in recipe.pieces)]
        self._position = 0
        self._streamed = [0, *accumulate(piece.streamed for piece in recipe.pieces)]
        self._stream = [0, *accumulate(piece.length for piece in recipe.stream)]
        self._read: tuple[int, bytes] = (-1, b"")  # the last piece, as it is asked for again
        self._part: tuple[int, bytes] = (-1, b"")  # and the last one of the stream

    @classmethod
    def open(cls, recipe: Recipe, packs: Packs, *, name: str) -> Self:
        """`StoreError` when a chunk is missing; `name` is the image's, for messages."""
        index = packs.index()
        with ExitStack() as opened:
            files: dict[str, BinaryIO] = {}
            chunks = {}
            for digest in recipe.chunks():
                if (place := index.get(digest)) is None:
                    msg = f'The image "{name}" is damaged: a chunk of it is missing'
                    raise StoreError(
                        msg, hint="Restore the storage from a backup, or build it again"
                    )
                if place.pack not in files:
                    file = opened.enter_context((packs.folder / place.pack).open("rb"))
                    files[place.pack] = file
                chunks[digest] = (files[place.pack], place.offset, place.length)
            opened.pop_all()
        return cls(recipe, chunks=chunks, name=name)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._starts[-1]}
        position = starts[whence] + offset
        if position < 0:
            raise OSError(errno.EINVAL, "The place lies before the file")
        self._position = position
        return position

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        if self._position >= self._starts[-1]:
            return 0
        number = bisect_right(self._starts, self._position) - 1
        piece, offset = self._recipe.pieces[number], self._position - self._starts[number]
        length = min(len(buffer), piece.length - offset)
        if piece.kind is Kind.ZEROS:
            buffer[:length] = bytes(length)
        else:
            buffer[:length] = self._content(number, piece)[offset : offset + length]
        self._position += length
        return length

    def write_plain(self, target: Path) -> None:
        """Write the body into a new file; zeros are holes."""
        with target.open("xb") as file:
            for number, piece in enumerate(self._recipe.pieces):
                if piece.kind is not Kind.ZEROS:
                    file.seek(self._starts[number])
                    file.write(self._content(number, piece))
            file.truncate(self._starts[-1])

    def close(self) -> None:
        for file, _offset, _length in self._chunks.values():
            file.close()
        super().close()

    def _content(self, number: int, piece: Piece) -> bytes:
        if self._read[0] != number:
            self._read = number, self._made(number, piece)
        return self._read[1]

    def _made(self, number: int, piece: Piece) -> bytes:
        match piece.kind:
            case Kind.LITERAL:
                return piece.content
            case Kind.ZEROS:
                return bytes(piece.length)
            case Kind.STREAMED:
                return self._from_stream(number)
            case Kind.FRAMED:
                return self._deflated(number, piece)
            case _:
                return self._inflated(number, piece)

    def _deflated(self, number: int, piece: Piece) -> bytes:
        """The deflated bytes that were sealed, and no others that mean the same."""
        made = deflate(self._from_stream(number))
        if len(made) != piece.length or isal_zlib.crc32(made) != piece.checksum:
            raise self._damaged(number)
        return made

    def _from_stream(self, number: int) -> bytes:
        """The bytes of the stream that a piece of the body stands for."""
        start, end = self._streamed[number : number + 2]
        content = b""
        while start < end:
            part = bisect_right(self._stream, start) - 1
            if self._part[0] != part:
                self._part = part, self._made_of(number, self._recipe.stream[part])
            offset = start - self._stream[part]
            found = self._part[1][offset : offset + end - start]
            content += found
            start += len(found)
        return content

    def _made_of(self, number: int, piece: Piece) -> bytes:
        return bytes(piece.length) if piece.kind is Kind.ZEROS else self._inflated(number, piece)

    def _inflated(self, number: int, piece: Piece) -> bytes:
        """What a chunk holds; `number` is the piece of the body that it is wanted for."""
        file, offset, length = self._chunks[piece.content]
        file.seek(offset)
        chunk = file.read(length)
        if hashlib.sha256(chunk).digest() != piece.content:
            raise self._damaged(number)
        try:
            content = inflate(chunk) if piece.kind is Kind.DEFLATED else chunk
        except zlib.error as error:
            raise self._damaged(number) from error
        if len(content) != piece.length:
            raise self._damaged(number)
        return content

    def _damaged(self, number: int) -> StoreError:
        first, last = self._starts[number], self._starts[number + 1] - 1
        msg = f'The image "{self._name}" is damaged: its bytes {first} to {last} cannot be read'
        return StoreError(msg, hint="Restore the storage from a backup, or build it again")
