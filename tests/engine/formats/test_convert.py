"""What qemu-img writes is whole, is the same disk, and is what was asked for."""

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.build import Told, a_build
from imagefactory.core.errors import BuildError, Cancelled, CommandFailed, RequestError
from imagefactory.engine.command import Cancellation, Tools
from imagefactory.engine.formats.convert import Convert
from imagefactory.engine.formats.kinds import KINDS, Compression, FormatName
from imagefactory.engine.plan import Step

pytestmark = pytest.mark.skipif(
    shutil.which("qemu-img") is None, reason="qemu-img is not installed (qemu-utils)"
)

SIZE = 48 << 20
STEPS = [
    Convert(format="qcow2"),
    Convert(format="qcow2", compression="none"),
    Convert(format="raw"),
    Convert(format="vhd"),
]


def qemu_img(*words: str | Path) -> Any:
    done = subprocess.run(["qemu-img", *words], check=True, capture_output=True, text=True)
    return json.loads(done.stdout) if "--output=json" in words else done.stdout


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "base.body"
    with path.open("wb") as file:
        file.truncate(SIZE)
        file.write(b"\xeb\x63\x90" + b"boot code " * 100_000)
        file.seek(20 << 20)
        file.write(os.urandom(3 << 20))
    return path


@pytest.mark.parametrize("compression", ["zlib", "zstd", "none"])
def test_a_qcow2_is_sound_and_holds_the_same_disk(
    disk: Path, tmp_path: Path, compression: Compression
) -> None:
    told = Told()
    build = a_build(tmp_path, source=disk, told=told)
    Convert(format="qcow2", compression=compression).run(build)
    qemu_img("check", "-f", "qcow2", build.disk)
    qemu_img("compare", "-f", "raw", "-F", "qcow2", disk, build.disk)
    facts = qemu_img("info", "--output=json", "-f", "qcow2", build.disk)
    assert facts["format-specific"]["data"]["compat"] == "1.1"
    assert facts["format-specific"]["data"]["compression-type"] == (
        "zstd" if compression == "zstd" else "zlib"
    )
    assert "backing-filename" not in facts
    assert build.notes() == {"format": "qcow2", "virtual_size": SIZE}
    assert told.percents == sorted(told.percents)
    assert told.percents[-1] == 100


def test_compressing_makes_it_smaller(disk: Path, tmp_path: Path) -> None:
    sizes = []
    compressions: tuple[Compression, ...] = ("zlib", "none")
    for compression in compressions:
        build = a_build(tmp_path, source=disk)
        Convert(format="qcow2", compression=compression).run(build)
        sizes.append(build.disk.stat().st_size)
    assert sizes[0] < sizes[1] - 500_000


def test_a_raw_copy_is_equal_and_sparse(disk: Path, tmp_path: Path) -> None:
    build = a_build(tmp_path, source=disk)
    Convert(format="raw").run(build)
    assert build.disk.read_bytes() == disk.read_bytes()
    assert build.disk.stat().st_blocks * 512 < 8 << 20
    assert build.notes() == {"format": "raw", "virtual_size": SIZE}


@pytest.mark.parametrize("name", ["raw", "vhd"])
def test_a_disk_that_is_a_builds_own_is_not_copied(
    disk: Path, tmp_path: Path, name: FormatName
) -> None:
    copied = a_build(tmp_path / "copied", source=disk)
    Convert(format=name).run(copied)
    build = a_build(tmp_path / "own")
    own = build.scratch / "source"
    shutil.copyfile(disk, own)
    build = replace(build, source=own)
    for _life in range(2):  # one that is killed is followed by another
        Convert(format=name).run(build)
        assert build.disk.samefile(own)
        assert build.disk.read_bytes() == copied.disk.read_bytes()
        assert build.notes() == copied.notes()


def test_a_body_on_another_file_system_is_copied_and_not_its_link(
    disk: Path, tmp_path: Path
) -> None:
    build = a_build(tmp_path)
    linked = build.scratch / "source"
    linked.symlink_to(disk)
    Convert(format="raw").run(replace(build, source=linked))
    assert not build.disk.is_symlink()
    assert build.disk.read_bytes() == disk.read_bytes()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        far = Path(shutil.copy(disk, elsewhere))
        linked.unlink()
        linked.symlink_to(far)
        Convert(format="raw").run(replace(build, source=linked))
        assert build.disk.stat().st_dev != far.stat().st_dev
    assert not build.disk.is_symlink()
    assert build.disk.read_bytes() == disk.read_bytes()


def test_the_body_of_another_image_is_not_written_to(disk: Path, tmp_path: Path) -> None:
    before = disk.read_bytes()
    build = a_build(tmp_path / "target")
    linked = build.scratch / "source"
    linked.hardlink_to(disk)
    build = replace(build, source=linked)
    Convert(format="vhd").run(build)
    assert disk.read_bytes() == before
    Convert(format="raw").run(build)
    assert build.disk.samefile(disk)


def test_a_qcow2_base_becomes_raw_again(disk: Path, tmp_path: Path) -> None:
    first = a_build(tmp_path / "first", source=disk)
    Convert(format="qcow2").run(first)
    second = a_build(tmp_path / "second", source=first.disk)
    Convert(format="raw").run(second)
    assert second.disk.read_bytes() == disk.read_bytes()
    assert second.notes() == {"format": "raw", "virtual_size": SIZE}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_written_is_recognised_with_the_length_of_its_disk(
    disk: Path, tmp_path: Path, name: FormatName
) -> None:
    for compression in KINDS[name].compressions:
        build = a_build(tmp_path / compression, source=disk)
        Convert(format=name, compression=compression).run(build)
        form = {"vhd-dynamic": "vhd"}.get(name, name)
        form = "raw.zst" if (name, compression) == ("raw", "zstd") else form
        assert build.notes() == {"format": form, "virtual_size": SIZE}


@pytest.mark.parametrize("name", ["raw", "vhd", "tar.gz", "qcow2", "vmdk", "vhd-dynamic"])
def test_a_disk_is_made_as_long_as_a_cloud_wants(
    disk: Path, tmp_path: Path, name: FormatName
) -> None:
    build = a_build(tmp_path, source=disk)
    Convert(format=name, align=1 << 30).run(build)
    assert build.notes()["virtual_size"] == 1 << 30
    assert build.disk.stat().st_blocks * 512 < 8 << 20


def test_a_compression_that_a_format_does_not_have_is_refused(disk: Path, tmp_path: Path) -> None:
    build = a_build(tmp_path, source=disk)
    with pytest.raises(RequestError, match='"vmdk" is not written with the compression "zstd"'):
        Convert(format="vmdk", compression="zstd").run(build)


@pytest.mark.parametrize("name", ["vmdk", "vhd", "tar.gz"])
def test_what_is_only_written_is_no_source(disk: Path, tmp_path: Path, name: FormatName) -> None:
    first = a_build(tmp_path / "first", source=disk)
    Convert(format=name).run(first)
    second = a_build(tmp_path / "second", source=first.disk)
    with pytest.raises(BuildError, match=f'is in the format "{name}", which cannot be read'):
        Convert(format="raw").run(second)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_may_run_again_after_a_crash(disk: Path, tmp_path: Path, step: Step) -> None:
    build = a_build(tmp_path, source=disk)
    build.disk.with_suffix(".part").write_text("what a killed worker left")
    step.run(build)
    step.run(build)
    left = {path.name for path in build.scratch.iterdir()} - {"disk.spans"}
    assert left == {"disk", "notes.json"}


@pytest.mark.parametrize("step", STEPS)
def test_a_guest_cannot_make_the_host_read_its_files(tmp_path: Path, step: Step) -> None:
    secret = tmp_path / "shadow"
    secret.write_bytes(b"root:hash".ljust(1 << 20, b"\0"))
    trap = tmp_path / "trap"
    qemu_img("create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", trap)
    build = a_build(tmp_path, source=trap)
    with pytest.raises(BuildError, match="refers to other files"):
        step.run(build)
    assert not build.disk.exists()


@pytest.mark.parametrize("step", STEPS)
def test_a_cancelled_step_leaves_no_disk(disk: Path, tmp_path: Path, step: Step) -> None:
    cancellation = Cancellation()
    build = a_build(tmp_path, source=disk, tools=Tools(cancellation=cancellation))
    cancellation.request()
    with pytest.raises(Cancelled):
        step.run(build)
    assert not list(build.scratch.iterdir())


def test_a_failing_tool_is_told_by_its_own_words(disk: Path, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    fake = tools / "qemu-img"
    fake.write_text("#!/bin/sh\nprintf '    (3.00/100%%)\\r'\necho 'No space left' >&2\nexit 1\n")
    fake.chmod(0o755)
    told = Told()
    build = a_build(
        tmp_path, source=disk, told=told, tools=Tools(path=f"{tools}:{os.environ['PATH']}")
    )
    with pytest.raises(
        CommandFailed, match=r'"qemu-img" failed with exit status 1: No space left$'
    ):
        Convert(format="qcow2", compression="none").run(build)
    assert told.percents == [3]
    assert not list(build.scratch.iterdir())


@pytest.mark.parametrize(
    ("name", "compression"),
    [(name, compression) for name, kind in KINDS.items() for compression in kind.compressions],
)
def test_the_same_disk_is_the_same_file(
    disk: Path, tmp_path: Path, name: FormatName, compression: Compression
) -> None:
    other = tmp_path / "other.body"
    shutil.copyfile(disk, other)
    files = []
    for number, source in enumerate((disk, other)):
        build = a_build(tmp_path / str(number), source=source)
        Convert(format=name, compression=compression).run(build)
        files.append(build.disk.read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize("name", ["vhdx", "vdi"])
def test_another_disk_has_another_identity(disk: Path, tmp_path: Path, name: FormatName) -> None:
    heads = []
    for content in (b"one", b"another"):
        with disk.open("r+b") as file:
            file.write(content)
        build = a_build(tmp_path, source=disk)
        Convert(format=name).run(build)
        qemu_img("check", "-f", name, build.disk)
        qemu_img("compare", "-f", "raw", "-F", name, disk, build.disk)
        heads.append(build.disk.read_bytes()[: 1 << 18])
    assert heads[0] != heads[1]
