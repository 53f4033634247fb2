"""The system calls that no package script or template command needs, as a filter for the kernel."""

import errno
import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# Classic BPF (linux/bpf_common.h) and what seccomp(2) reads and answers with.
_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_OFFSET_NUMBER: Final = 0
_OFFSET_ARCHITECTURE: Final = 4
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000  # SECCOMP_RET_ERRNO
_X32: Final = 0x40000000  # the other numbering of x86-64, by which a filter could be passed


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """An instruction set: its number in `linux/audit.h`, and what is refused on it."""

    audit: int
    refused: Mapping[str, int]


_ARCHITECTURES: Final = {
    "x86_64": Architecture(
        audit=0xC000003E,
        refused={
            "acct": 163, "add_key": 248, "adjtimex": 159, "bpf": 321, "clock_adjtime": 305,
            "clock_settime": 227, "delete_module": 176, "finit_module": 313, "init_module": 175,
            "io_uring_setup": 425, "ioperm": 173, "iopl": 172, "kexec_file_load": 320,
            "kexec_load": 246, "keyctl": 250, "open_by_handle_at": 304, "perf_event_open": 298,
            "quotactl": 179, "reboot": 169, "request_key": 249, "settimeofday": 164,
            "swapoff": 168, "swapon": 167, "syslog": 103, "userfaultfd": 323,
        },
    ),
    "aarch64": Architecture(
        audit=0xC00000B7,
        refused={
            "acct": 89, "add_key": 217, "adjtimex": 171, "bpf": 280, "clock_adjtime": 266,
            "clock_settime": 112, "delete_module": 106, "finit_module": 273, "init_module": 105,
            "io_uring_setup": 425, "kexec_file_load": 294, "kexec_load": 104, "keyctl": 219,
            "open_by_handle_at": 265, "perf_event_open": 241, "quotactl": 60, "reboot": 142,
            "request_key": 218, "settimeofday": 170, "swapoff": 225, "swapon": 224,
            "syslog": 116, "userfaultfd": 282,
        },
    ),
}  # fmt: skip


def program(machine: str = platform.machine()) -> bytes | None:
    """The filter for this machine, as `bwrap --seccomp` reads it; None where we know no numbers.

    Refused calls fail with EPERM, as they would without the privilege; those of another instruction
    set fail with ENOSYS.
    """
    architecture = _ARCHITECTURES.get(machine)
    if architecture is None:
        return None
    numbers = sorted(architecture.refused.values())
    code = [
        (_LOAD, 0, 0, _OFFSET_ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, _REFUSE | errno.ENOSYS),
        (_LOAD, 0, 0, _OFFSET_NUMBER),
        (_JUMP_AT_LEAST, len(numbers) + 1, 0, _X32),
    ]
    for position, number in enumerate(numbers):
        code.append((_JUMP_EQUAL, len(numbers) - position, 0, number))
    code += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE | errno.EPERM)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
