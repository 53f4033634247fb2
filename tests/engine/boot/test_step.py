"""The step of a build that boots its disk."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.build import Told, a_build
from fakes.qemu import PICTURE, commands, fake_qemu
from imagefactory.core.errors import BootError, ToolMissing
from imagefactory.core.parameters import Parameters
from imagefactory.engine.boot import boot, step
from imagefactory.engine.boot.accelerator import find_emulator
from imagefactory.engine.boot.firmware import Uefi, find_uefi
from imagefactory.engine.boot.step import BootTest, plan_boot_test
from imagefactory.engine.command import Tools
from imagefactory.engine.plan import Build

BOTH = BootTest(firmwares=("bios", "uefi"), timeout=30)


@pytest.fixture
def log() -> list[str]:
    """The lines of the build's log."""
    return []


@pytest.fixture(autouse=True)
def _ovmf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firmware of this test's own, so that the host needs none."""
    uefi = Uefi(code=tmp_path / "CODE.fd", variables=tmp_path / "VARS.fd")
    uefi.code.write_bytes(b"code")
    uefi.variables.write_bytes(b"variables")
    monkeypatch.setattr(boot, "find_uefi", lambda _arch: uefi)
    monkeypatch.setattr(step, "find_uefi", lambda _arch: uefi)


def build_with(tmp_path: Path, scenario: str, log: list[str], **more: Any) -> Build:
    """A build with a disk, on a host whose QEMU plays a scenario."""
    tools = replace(fake_qemu(tmp_path / "bin", scenario), log=log.append)
    build = a_build(tmp_path / "state", tools=tools, **more)
    build.disk.write_bytes(b"\0" * 4096)
    return build


def test_each_firmware_is_booted(tmp_path: Path, log: list[str]) -> None:
    told = Told()
    build = build_with(tmp_path, "comes up", log, told=told)
    BOTH.run(build)
    notes = build.notes()
    assert notes["boot_tested"] is True
    assert set(notes["boot_seconds"]) == {"bios", "uefi"}
    for firmware in ("bios", "uefi"):
        assert b"here login: " in (build.artifacts / f"boot-{firmware}.log").read_bytes()
        assert (build.artifacts / f"boot-{firmware}.png").read_bytes() == PICTURE
    boots = json.loads((build.artifacts / "boot.json").read_text())["boots"]
    # What the fake says of KVM is asked for only where there is a device.
    found = find_emulator(build.tools, cache=build.cache).accelerator
    assert [(facts["firmware"], facts["accelerator"]) for facts in boots] == [
        ("bios", found),
        ("uefi", found),
    ]
    assert {"BIOS: login", "UEFI: login"} <= set(log)
    assert told.percents == sorted(told.percents)
    assert {path.name for path in build.scratch.iterdir()} == {"disk", "notes.json"}


def test_machines_that_run_together_have_two_processors_each(
    tmp_path: Path, log: list[str]
) -> None:
    BOTH.run(build_with(tmp_path, "comes up", log))
    machines = [argv for argv in commands(tmp_path / "bin") if "-smp" in argv]
    share = str(min(2, os.cpu_count() or 1))
    assert [argv[argv.index("-smp") + 1] for argv in machines] == [share, share]


def test_a_disk_that_does_not_boot_fails_the_build(tmp_path: Path, log: list[str]) -> None:
    build = build_with(tmp_path, "panics", log)
    with pytest.raises(BootError, match="Kernel panic"):
        BOTH.run(build)
    assert "boot_tested" not in build.notes()
    boots = json.loads((build.artifacts / "boot.json").read_text())["boots"]
    assert "Kernel panic" in boots[0]["error"]
    assert boots[0]["console"][-1] == "[    2.3] ---[ end Kernel panic ]---"


def test_without_qemu_the_image_stays_untested_and_says_so(tmp_path: Path, log: list[str]) -> None:
    tools = Tools(path=str(tmp_path), log=log.append)
    build = a_build(tmp_path / "state", tools=tools)
    BOTH.run(build)
    why = 'The program "qemu-system-x86_64" is not installed'
    assert build.notes() == {"boot_tested": False, "boot_untested_because": why}
    assert f"The image stays untested: {why}" in log


def test_a_required_test_without_qemu_fails(tmp_path: Path) -> None:
    build = a_build(tmp_path / "state", tools=Tools(path=str(tmp_path)))
    with pytest.raises(ToolMissing):
        replace(BOTH, required=True).run(build)


@pytest.mark.parametrize(
    ("given", "required"),
    [
        ({}, [False]),
        ({"boot_test": "auto"}, [False]),
        ({"boot_test": True}, [True]),
        ({"boot_test": "yes"}, [True]),
        ({"boot_test": False}, []),
        ({"boot_test": "no"}, []),
    ],
)
def test_the_parameter_decides(given: dict[str, Any], required: list[bool]) -> None:
    plan = plan_boot_test(Parameters(given), firmwares=("uefi",), timeout=5)
    assert plan == tuple(BootTest(firmwares=("uefi",), required=one, timeout=5) for one in required)


def test_the_activity_names_the_firmwares() -> None:
    assert BOTH.activity == "Booting a copy of the disk (BIOS, UEFI)"


def test_firmware_is_found_where_code_and_variables_are(tmp_path: Path) -> None:
    half = Uefi(code=tmp_path / "half", variables=tmp_path / "none")
    whole = Uefi(code=tmp_path / "code", variables=tmp_path / "variables")
    for file in (half.code, whole.code, whole.variables):
        file.touch()
    assert find_uefi("x86_64", [half, whole]) == whole
    with pytest.raises(ToolMissing) as missing:
        find_uefi("x86_64", [half])
    assert missing.value.hint == 'Install the package "ovmf"'
