"""A gzip stream that names no file and no time (RFC 1952), made by ISA-L."""

import zlib
from typing import IO, Final

from imagefactory.core.deflate import Deflater

_GZIP: Final = 16 + zlib.MAX_WBITS


class Gzip:
    """Compresses what is written to it into a file; the same bytes give the same bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._stream = Deflater(_GZIP)

    def write(self, data: bytes) -> int:
        """Compress some bytes more."""
        self._file.write(self._stream.compress(data))
        return len(data)

    def finish(self) -> None:
        """Write what is left; the file itself stays open."""
        self._file.write(self._stream.finish())
