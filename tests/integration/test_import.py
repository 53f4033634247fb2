"""Disks that were made elsewhere become base images: real file systems, read without mounting them."""

import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from imagefactory.builds.adoption import Adoption
from imagefactory.builds.factory import Factory, open_factory
from imagefactory.core.config import Config
from imagefactory.core.errors import FactoryError
from imagefactory.core.images import BaseImage, Status
from imagefactory.core.template import parse
from imagefactory.engine.command import Tools
from imagefactory.engine.disk import gpt

SIZE: Final = 16 << 20
START: Final = 1 << 20  # of a partition, in bytes
AARCH64: Final = 183

#: os-release(5) of some systems -> the name and version that templates give them
SYSTEMS: Final[Mapping[str, tuple[str, str]]] = {
    'ID=debian\nVERSION_ID="12"\n': ("Debian", "12"),
    "ID=debian\nVERSION_CODENAME=forky\n": ("Debian", "sid"),
    'NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n': ("Ubuntu", "24.04"),
    'ID="rhel"\nVERSION_ID="9.4"\n': ("RHEL-9", "4"),
    'ID="centos"\nVERSION_ID="10"\n': ("RHEL-10", "0"),
    "ID=fedora\nVERSION_ID=42\n": ("Fedora", "42"),
}


def ext4(folder: Path, release: str) -> bytes:
    """A file system with a system in it that has nothing but a name and one program."""
    root = folder / "root"
    for part in ("etc", "usr/lib/systemd"):
        (root / part).mkdir(parents=True, exist_ok=True)
    (root / "usr/lib/os-release").write_text(release)
    link = root / "etc/os-release"
    link.unlink(missing_ok=True)
    link.symlink_to("../usr/lib/os-release")
    program = b"\x7fELF\x02\x01\x01" + bytes(11) + struct.pack("<H", AARCH64) + bytes(100)
    (root / "usr/lib/systemd/systemd").write_bytes(program)
    file = folder / "ext4"
    file.unlink(missing_ok=True)
    subprocess.run(["truncate", "-s", str(SIZE), file], check=True)
    subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", "-d", root, file], check=True)
    return file.read_bytes()


def with_gpt(system: bytes) -> bytes:
    """The disk of a machine: a partition table, and one partition."""
    sectors = (START + SIZE + START) // 512
    root = gpt.Entry(
        number=1,
        type=gpt.LINUX_ROOT_X86_64,
        id=UUID(int=1),
        first=START // 512,
        last=(START + SIZE) // 512 - 1,
        name="root",
    )
    table = gpt.table([root], disk=UUID(int=2), sectors=sectors)
    head = table.primary.ljust(START, b"\0")
    return head + system + table.backup.rjust(START, b"\0")


def with_mbr(system: bytes) -> bytes:
    """The disk of an older machine."""
    entry = struct.pack("<BBBBBBBBII", 0x80, 0, 0, 0, 0x83, 0, 0, 0, START // 512, SIZE // 512)
    head = bytes(0x1BE) + entry + bytes(48) + b"\x55\xaa"
    return head.ljust(START, b"\0") + system


def adopt(factory: Factory, disk: Path) -> BaseImage:
    return Adoption(workshop=factory.workshop, tools=Tools())(disk)


@pytest.mark.parametrize("release", SYSTEMS, ids=lambda release: "-".join(SYSTEMS[release]))
def test_a_disk_gets_a_template_that_names_its_system(
    release: str, config: Config, tmp_path: Path
) -> None:
    disk = tmp_path / "appliance.img"
    disk.write_bytes(with_gpt(ext4(tmp_path, release)))
    with open_factory(config) as factory:
        image = adopt(factory, disk)
        assert factory.image(BaseImage, image.id).status is Status.COMPLETE
        assert factory.body(image.id).read_bytes() == disk.read_bytes()
    assert image.percent == 100
    assert image.template is not None
    template = parse(image.template)
    assert (template.os.name, template.os.version) == SYSTEMS[release]
    assert template.os.arch == "aarch64"
    assert template.name.startswith(f"{template.os.name}-{template.os.version}-import-20")
    assert template.description is not None
    assert template.description.startswith("image imported on 20")
    assert not list(config.scratch.iterdir())


@pytest.mark.parametrize("layout", [bytes, with_mbr], ids=["no-table", "mbr"])
def test_a_system_is_found_wherever_its_file_system_begins(
    layout: type[bytes], config: Config, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(layout(ext4(tmp_path, "ID=debian\nVERSION_ID=13\n")))
    with open_factory(config) as factory:
        assert parse(adopt(factory, disk).template or "").os.version == "13"


@pytest.mark.parametrize("form", ["qcow2", "vmdk", "vdi", "vhdx"])
def test_other_formats_become_raw(form: str, config: Config, tmp_path: Path) -> None:
    raw, disk = tmp_path / "raw", tmp_path / f"disk.{form}"
    raw.write_bytes(with_gpt(ext4(tmp_path, "ID=debian\nVERSION_ID=12\n")))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", form, raw, disk], check=True)
    with open_factory(config) as factory:
        image = adopt(factory, disk)
        assert factory.body(image.id).read_bytes() == raw.read_bytes()


def test_what_cannot_be_imported_leaves_nothing_behind(config: Config, tmp_path: Path) -> None:
    empty, strange = tmp_path / "empty.img", tmp_path / "strange.img"
    empty.write_bytes(bytes(4 << 20))
    strange.write_bytes(ext4(tmp_path, "ID=plan9\nVERSION_ID=4\n"))
    with open_factory(config) as factory:
        before = factory.images(), sorted(config.storage.iterdir())
        with pytest.raises(FactoryError, match=r'^No operating system was .* "empty\.img"$'):
            adopt(factory, empty)
        with pytest.raises(FactoryError, match=r"^Unsupported distro for import: plan9$"):
            adopt(factory, strange)
        assert (factory.images(), sorted(config.storage.iterdir())) == before
    assert not list(config.scratch.iterdir())
