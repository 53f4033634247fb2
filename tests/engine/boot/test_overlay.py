"""The throw-away copy: what is looked at in a disk, and what is refused."""

import struct
from pathlib import Path

import pytest

from fakes.qemu import fake_qemu
from imagefactory.core.errors import BuildError
from imagefactory.engine.boot.overlay import Format, format_of, overlay

SECTOR = 512


def qcow2(*, version: int = 3, backing: int = 0, features: int = 0) -> bytes:
    """The head of a qcow2 file (QEMU, docs/interop/qcow2)."""
    head = struct.pack(">4sIQIIQ", b"QFI\xfb", version, backing, 0, 16, 1 << 30).ljust(72, b"\0")
    return (head + struct.pack(">Q", features)).ljust(SECTOR, b"\0")


def vmdk(*, capacity: int = 2048, descriptor: bytes = b'createType="streamOptimized"\n') -> bytes:
    """The head of a sparse VMDK with its descriptor in the second sector."""
    head = struct.pack("<4sIIQQQQ", b"KDMV", 3, 3, capacity, 128, 1, 2).ljust(SECTOR, b"\0")
    return head + descriptor.ljust(2 * SECTOR, b"\0")


def vhd(*, kind: int) -> bytes:
    """The footer of a VHD, which stands at its beginning too when it is not of fixed size."""
    return b"conectix".ljust(60, b"\0") + struct.pack(">I", kind).ljust(SECTOR - 60, b"\0")


RAW = b"\xeb\x63".ljust(510, b"\0") + b"\x55\xaa"


@pytest.mark.parametrize(
    ("form", "head", "tail"),
    [
        ("raw", RAW, b""),
        ("raw", b"\0" * SECTOR, b"\0" * SECTOR),
        ("qcow2", qcow2(), b""),
        ("qcow2", qcow2(version=2, features=4), b""),
        ("vmdk", vmdk(), b""),
        ("vpc", vhd(kind=3), b""),
        ("vpc", RAW, vhd(kind=2)),
        ("vhdx", b"vhdxfile".ljust(SECTOR, b"\0"), b""),
        ("vdi", b"<<< disk >>>".ljust(64, b"\0") + b"\x7f\x10\xda\xbe".ljust(448, b"\0"), b""),
    ],
)
def test_formats_are_told_by_their_marks(form: Format, head: bytes, tail: bytes) -> None:
    assert format_of("disk", head, tail) == form


@pytest.mark.parametrize(
    "head",
    [
        qcow2(backing=512),
        qcow2(version=2, backing=512),
        qcow2(features=4),
        vmdk(capacity=0),
        vmdk(descriptor=b'parentFileNameHint="/etc/shadow"\n'),
        b'# Disk DescriptorFile\nRW 2048 FLAT "/etc/shadow" 0\n'.ljust(SECTOR, b"\0"),
        vhd(kind=4),
    ],
    ids=["backing", "old backing", "data file", "description", "parent", "text", "difference"],
)
def test_a_disk_that_names_another_file_is_refused(head: bytes) -> None:
    with pytest.raises(BuildError) as refusal:
        format_of("disk.img", head, b"")
    assert str(refusal.value).startswith('The disk "disk.img" refers to another file')


def test_a_vmdk_whose_descriptor_lies_far_away_is_refused() -> None:
    head = bytearray(vmdk())
    struct.pack_into("<QQ", head, 28, 1 << 40, 1 << 40)
    with pytest.raises(BuildError):
        format_of("disk", bytes(head), b"")


@pytest.mark.parametrize(
    ("length", "size", "whole"),
    [(4096, None, 4096), (4097, None, 4608), (4096, 1 << 20, 1 << 20), (4096, 1, 4096)],
)
def test_the_copy_is_as_large_as_asked_and_never_smaller(
    tmp_path: Path, length: int, size: int | None, whole: int
) -> None:
    tools = fake_qemu(tmp_path / "bin", "comes up")
    disk, scratch = tmp_path / "disk", tmp_path / "scratch"
    disk.write_bytes(b"\0" * length)
    scratch.mkdir()
    with overlay(disk, tools=tools, scratch=scratch, size=size) as copy:
        made = Path(f"/proc/self/fd/{copy.top}").read_bytes()
        assert made == b"QFI\xfb an overlay of " + str(whole).encode()
        assert not list(scratch.iterdir())
        nodes = copy.blockdevs()
    assert [node["driver"] for node in nodes] == ["file", "raw", "file", "qcow2"]
    assert [node.get("read-only") for node in nodes] == [True, True, None, None]
    assert nodes[-1]["backing"] == "base"


def test_what_lies_below_a_disk_is_never_opened(tmp_path: Path) -> None:
    tools = fake_qemu(tmp_path / "bin", "comes up")
    disk = tmp_path / "disk"
    disk.write_bytes(qcow2())
    with overlay(disk, tools=tools, scratch=tmp_path, size=None) as copy:
        assert copy.format == "qcow2"
        assert copy.blockdevs()[1]["backing"] is None
        assert Path(f"/proc/self/fd/{copy.top}").read_bytes().endswith(b" of 1048576")
