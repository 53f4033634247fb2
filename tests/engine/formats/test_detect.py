"""A disk is what its own first bytes say, and never more than one file."""

import struct
import zlib
from pathlib import Path

import pytest

from imagefactory.core.errors import BuildError
from imagefactory.engine.formats.detect import Disk, inspect


def qcow2(*, version: int = 3, backing: int = 0, crypt: int = 0, features: int = 0) -> bytes:
    """A header as QEMU's docs/interop/qcow2.rst lays it out, byte by byte."""
    head = bytearray(512)
    head[0:4] = b"QFI\xfb"
    struct.pack_into(">I", head, 4, version)
    struct.pack_into(">QI", head, 8, backing, 8 if backing else 0)
    struct.pack_into(">IQI", head, 20, 16, 5 << 30, crypt)
    struct.pack_into(">Q", head, 72, features)
    return bytes(head)


def test_a_disk_that_nothing_recognises_is_raw(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"\xeb\x63\x90" + b"\0" * 509)
    assert inspect(disk) == Disk(path=disk, format="raw", virtual_size=512)


def test_an_empty_file_is_a_raw_disk_of_no_size(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.touch()
    assert inspect(disk) == Disk(path=disk, format="raw", virtual_size=0)


@pytest.mark.parametrize("version", [2, 3])
def test_a_qcow2_tells_the_size_of_the_disk_in_it(tmp_path: Path, version: int) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(qcow2(version=version))
    assert inspect(disk) == Disk(path=disk, format="qcow2", virtual_size=5 << 30)


def test_what_was_no_feature_yet_in_version_2_is_not_read_as_one(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(qcow2(version=2, features=4))
    assert inspect(disk).format == "qcow2"


@pytest.mark.parametrize(
    "head",
    [qcow2(backing=512), qcow2(version=2, backing=512), qcow2(crypt=2), qcow2(features=4)],
    ids=["backing file", "backing file of version 2", "encrypted", "external data file"],
)
def test_a_qcow2_that_is_not_all_there_is_refused(tmp_path: Path, head: bytes) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(head)
    with pytest.raises(BuildError, match='The disk "disk" is encrypted or refers to other files'):
        inspect(disk)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"# Disk DescriptorFile\nversion=1\n", "vmdk"),
        (b"\x1f\x8b\x08\0" + bytes(6) + zlib.compress(bytes(5000), wbits=-15), "tar.gz"),
        (b"\x28\xb5\x2f\xfd", "raw.zst"),
        (b"LUKS\xba\xbe\0\x01", "luks"),
    ],
)
def test_another_format_is_refused_by_name(tmp_path: Path, head: bytes, name: str) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(head.ljust(512, b"\0"))
    with pytest.raises(BuildError, match=f'is in the format "{name}"'):
        inspect(disk)


@pytest.mark.parametrize(
    ("head", "name"),
    [(b"conectix", "vhd"), (b"vhdxfile", "vhdx"), (b"\x1f\x8b\x08\0garbage", "tar.gz")],
)
def test_a_damaged_disk_is_said_to_be_damaged(tmp_path: Path, head: bytes, name: str) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(head.ljust(512, b"\0"))
    with pytest.raises(BuildError, match=f'looks like "{name}", but is damaged'):
        inspect(disk)
