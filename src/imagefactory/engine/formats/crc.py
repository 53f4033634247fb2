"""The CRC-32 of two byte strings joined, from those of each (as zlib's `crc32_combine`)."""

from functools import lru_cache
from typing import Final

_POLYNOMIAL: Final = 0xEDB88320  # RFC 1952, section 8; the bit of x^0 is the highest
_ONE: Final = 1 << 31
_BYTE: Final = 1 << 23  # x^8


def joined(first: int, second: int, length: int) -> int:
    """The CRC-32 of a string with the CRC `first` and then one of `length` bytes with `second`."""
    return _multiplied(_shift(length), first) ^ second


@lru_cache(maxsize=64)
def _shift(length: int) -> int:
    """What appending so many bytes does: x to the power of 8 `length`, modulo the polynomial."""
    power, square = _ONE, _BYTE
    while length:
        if length & 1:
            power = _multiplied(power, square)
        square = _multiplied(square, square)
        length >>= 1
    return power


def _multiplied(a: int, b: int) -> int:
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = a << 1 & 0xFFFFFFFF
        b = b >> 1 ^ _POLYNOMIAL if b & 1 else b >> 1
    return product
