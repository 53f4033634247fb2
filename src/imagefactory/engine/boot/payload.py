"""The smallest guest that proves a processor: a boot sector that comes up in 64-bit mode and says so."""

from typing import Final

MARKER: Final = "64 bits"  #: what it writes to the debug console at port 0xe9
EXIT_STATUS: Final = (
    33  #: isa-debug-exit makes 2 x 0x10 + 1 of the 0x10 that it writes to port 0xf4
)

# Loaded at 0x7c00 in real mode. Page tables at 0x1000, 0x2000, 0x3000 map the first 2 MiB to
# themselves; setting CR0.PE and CR0.PG at once goes from real to long mode (Intel SDM, volume 3,
# "Initializing IA-32e Mode").
_LISTING: Final = (
    ("fa", "cli"),
    ("31 c0", "xor ax, ax"),
    ("8e d8", "mov ds, ax"),
    ("8e c0", "mov es, ax"),
    ("66 bf 00 10 00 00", "mov edi, 0x1000"),
    ("0f 22 df", "mov cr3, edi"),
    ("b9 00 0c", "mov cx, 0xc00"),
    ("66 31 c0", "xor eax, eax"),
    ("fc", "cld"),
    ("66 f3 ab", "rep stosd"),
    ("c7 06 00 10 03 20", "mov word [0x1000], 0x2003"),
    ("c7 06 00 20 03 30", "mov word [0x2000], 0x3003"),
    ("c6 06 00 30 83", "mov byte [0x3000], 0x83"),
    ("0f 20 e0", "mov eax, cr4"),
    ("0c 20", "or al, 0x20  ; PAE"),
    ("0f 22 e0", "mov cr4, eax"),
    ("66 b9 80 00 00 c0", "mov ecx, 0xc0000080  ; EFER"),
    ("0f 32", "rdmsr"),
    ("80 cc 01", "or ah, 1  ; LME"),
    ("0f 30", "wrmsr"),
    ("0f 01 16 7b 7c", "lgdt [0x7c7b]"),
    ("0f 20 c0", "mov eax, cr0"),
    ("66 0d 01 00 00 80", "or eax, 0x80000001  ; PG, PE"),
    ("0f 22 c0", "mov cr0, eax"),
    ("ea 56 7c 08 00", "jmp 0x8:0x7c56  ; 64-bit code from here"),
    ("be 81 7c 00 00", "mov esi, 0x7c81"),
    ("ac", "lodsb"),
    ("84 c0", "test al, al"),
    ("74 04", "jz 0x7c64"),
    ("e6 e9", "out 0xe9, al"),
    ("eb f7", "jmp 0x7c5b"),
    ("b0 10", "mov al, 0x10"),
    ("e6 f4", "out 0xf4, al"),
    ("f4", "hlt"),
    ("eb fd", "jmp 0x7c68"),
    ("00 00 00 00 00 00 00 00", "descriptor 0: none"),
    ("00 00 00 00 00 9a 20 00", "descriptor 8: 64-bit code"),
    ("0f 00 6b 7c 00 00", "limit 15, table at 0x7c6b"),
)
_SIZE: Final = 1 << 20  # SeaBIOS reads no disk of a single sector


def disk() -> bytes:
    """A raw disk with the payload in its boot sector."""
    code = bytes.fromhex("".join(code for code, _ in _LISTING))
    sector = (code + MARKER.encode() + b"\0").ljust(510, b"\0") + b"\x55\xaa"
    return sector.ljust(_SIZE, b"\0")
