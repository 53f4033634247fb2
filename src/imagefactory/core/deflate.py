"""Deflate (RFC 1951) as all of the program uses it: the same bytes for the same content, everywhere."""

import zlib
from typing import Final

from isal import isal_zlib

CLUSTER: Final = 1 << 16  #: bytes of content that are deflated together
FINAL: Final = (
    b"\x03\x00"  #: an empty last block: ends a deflate stream that a sync flush left open
)
_LEVEL: Final = 2  # of ISA-L: a tenth of zlib's time for a tenth more bytes
_HEAD: Final = 16  # ISA-L's main loop leaves so many bytes at a flush to the code that ends a block


class Deflater:
    """A stream whose bytes depend on its content alone, which ISA-L's do not.

    Where a stream begins, the main loop of ISA-L's levels 1 and 2 (igzip_icf_body_h1_gr_bt.asm,
    `.write_first_byte`) files the third byte under a hash of the stream's own address, so that now and then
    a match is found or missed by chance. A flush after the first bytes has other code begin instead.
    """

    def __init__(self, wbits: int = -zlib.MAX_WBITS) -> None:
        """`wbits` as in zlib: how the stream is wrapped; not at all unless told."""
        self._stream = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, wbits)
        self._head = b""
        self._begun = False

    def compress(self, plain: bytes) -> bytes:
        """What is ready of the stream when so much more goes in."""
        if self._begun:
            return self._stream.compress(plain)
        head, rest = self._head + plain[: _HEAD - len(self._head)], memoryview(plain)
        rest = rest[len(head) - len(self._head) :]
        self._head = head
        if len(head) < _HEAD:
            return b""
        self._begun = True
        begun = self._stream.compress(head) + self._stream.flush(isal_zlib.Z_SYNC_FLUSH)
        return begun + self._stream.compress(rest)

    def flush(self) -> bytes:
        """What is left, ended on a byte, so that more may follow in the same stream."""
        return self._rest() + self._stream.flush(isal_zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        """What is left, and the end of the stream."""
        return self._rest() + self._stream.flush(isal_zlib.Z_FINISH)

    def _rest(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return self._stream.compress(self._head)


def deflate(plain: bytes) -> bytes:
    """Deflated bytes that end on a byte, so that more may follow in the same stream."""
    deflater = Deflater()
    return deflater.compress(plain) + deflater.flush()


def inflate(deflated: bytes) -> bytes:
    """The content of what `deflate` gave; `zlib.error` for anything else."""
    try:
        return isal_zlib.decompress(deflated + FINAL, wbits=-zlib.MAX_WBITS)
    except isal_zlib.error as error:  # type: ignore[misc]  # the stub has it as a value
        raise zlib.error(str(error)) from error
