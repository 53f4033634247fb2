"""Programs of another processor: who runs them, and what is said where nobody can."""

from pathlib import Path

import pytest

from imagefactory.core.errors import ToolMissing
from imagefactory.engine import emulation

ENABLED = "enabled\ninterpreter /usr/bin/qemu\nflags: {flags}\noffset 0\n"


def asked(arch: str, tmp_path: Path, *, host: str = "x86_64") -> str | None:
    return emulation.registration(
        arch, path=str(tmp_path), host=host, registered=tmp_path / "handlers"
    )


def an_emulator(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    (tmp_path / name).chmod(0o755)


def test_programs_of_this_machine_need_nobody(tmp_path: Path) -> None:
    assert asked("x86_64", tmp_path) is None
    assert asked("aarch64", tmp_path, host="aarch64") is None


def test_an_emulator_is_registered_for_the_build(tmp_path: Path) -> None:
    an_emulator(tmp_path, "qemu-aarch64-static")
    script = asked("aarch64", tmp_path) or ""
    magic = r"\x7f\x45\x4c\x46\x02\x01\x01" + r"\x00" * 9 + r"\x02\x00\xb7\x00"
    mask = r"\xff" * 7 + r"\x00" + r"\xff" * 8 + r"\xfe\xff\xff\xff"
    rule = f":imagefactory-aarch64:M::{magic}:{mask}:{tmp_path}/qemu-aarch64-static:PF"
    assert f"printf %s '{rule}' > /mnt/register" in script


def test_a_big_endian_processor_has_its_bytes_the_other_way_round(tmp_path: Path) -> None:
    an_emulator(tmp_path, "qemu-s390x")
    assert r"\x00\x02\x00\x16:" in (asked("s390x", tmp_path) or "")


@pytest.mark.parametrize(("flags", "works"), [("OCF", True), ("P", False)])
def test_what_the_whole_machine_has_is_taken_if_it_works_in_a_tree(
    tmp_path: Path, flags: str, works: bool
) -> None:
    handlers = tmp_path / "handlers"
    handlers.mkdir()
    (handlers / "qemu-aarch64").write_text(ENABLED.format(flags=flags))
    an_emulator(tmp_path, "qemu-aarch64-static")
    assert (asked("aarch64", tmp_path) is None) is works


@pytest.mark.parametrize("arch", ["aarch64", "riscv64"])
def test_a_missing_emulator_is_told_with_its_package(tmp_path: Path, arch: str) -> None:
    with pytest.raises(ToolMissing, match=f'cannot run programs for "{arch}"') as missing:
        asked(arch, tmp_path)
    assert missing.value.hint == 'Install the package "qemu-user-static"'
