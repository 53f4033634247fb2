"""The filter refuses what it lists, allows the rest, and cannot be passed by another numbering."""

import errno
import struct

import pytest

from imagefactory.engine import seccomp

ALLOW = 0x7FFF0000
REFUSE = 0x00050000


def judge(program: bytes, *, architecture: int, number: int) -> int:
    """What the kernel would make of a call: an interpreter of the four instructions in use."""
    code = list(struct.iter_unpack("=HBBI", program))
    data = {0: number, 4: architecture}
    accumulator, position = 0, 0
    while True:
        operation, true, false, value = code[position]
        position += 1
        match operation:
            case 0x20:
                accumulator = data[value]
            case 0x15:
                position += true if accumulator == value else false
            case 0x35:
                position += true if accumulator >= value else false
            case 0x06:
                return int(value)


@pytest.mark.parametrize(
    ("machine", "audit", "reboot"), [("x86_64", 0xC000003E, 169), ("aarch64", 0xC00000B7, 142)]
)
def test_each_call_gets_its_answer(machine: str, audit: int, reboot: int) -> None:
    program = seccomp.program(machine)
    assert program is not None
    answers = [judge(program, architecture=audit, number=number) for number in range(500)]
    assert answers[reboot] == REFUSE | errno.EPERM
    assert answers.count(REFUSE | errno.EPERM) == len(seccomp._ARCHITECTURES[machine].refused)
    assert set(answers) == {ALLOW, REFUSE | errno.EPERM}
    x32 = judge(program, architecture=audit, number=0x40000000 + 1)
    assert x32 == REFUSE | errno.EPERM
    foreign = judge(program, architecture=0x40000003, number=1)
    assert foreign == REFUSE | errno.ENOSYS


def test_an_unknown_machine_has_no_filter() -> None:
    assert seccomp.program("vax") is None
