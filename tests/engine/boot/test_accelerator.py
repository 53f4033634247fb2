"""KVM is used only where a guest has run on it."""

from pathlib import Path

import pytest

from fakes.qemu import commands, fake_qemu
from imagefactory.core.errors import ToolMissing
from imagefactory.engine.boot import accelerator, payload
from imagefactory.engine.boot.accelerator import Emulator, find_emulator
from imagefactory.engine.command import Tools


def trials(folder: Path) -> int:
    """How many guests the fake of this folder was asked to run."""
    return sum("kvm" in argv for argv in commands(folder))


@pytest.fixture
def kvm(tmp_path: Path) -> Path:
    """A device that opens, which proves nothing."""
    device = tmp_path / "kvm"
    device.touch()
    return device


def test_kvm_that_runs_a_guest_is_used(tmp_path: Path, kvm: Path) -> None:
    tools = fake_qemu(tmp_path / "bin", "kvm works")
    found = find_emulator(tools, cache=tmp_path / "cache", kvm=kvm)
    assert found == Emulator(version="9.9.1", accelerator="kvm", sandbox=True)


@pytest.mark.parametrize("scenario", ["kvm hangs", "kvm is silent"])
def test_kvm_that_runs_no_guest_is_not_used(
    tmp_path: Path, kvm: Path, scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accelerator, "_TRIAL_SECONDS", 0.7)
    tools = fake_qemu(tmp_path / "bin", scenario)
    assert find_emulator(tools, cache=tmp_path / "cache", kvm=kvm).accelerator == "tcg"
    assert trials(tmp_path / "bin") == 1


def test_kvm_that_is_slower_than_without_it_is_not_used(
    tmp_path: Path, kvm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accelerator, "_QUICK", 0.1)
    tools = fake_qemu(tmp_path / "bin", "kvm is slow")
    assert find_emulator(tools, cache=tmp_path / "cache", kvm=kvm).accelerator == "tcg"


def test_kvm_that_is_slow_on_a_busy_host_is_used(
    tmp_path: Path, kvm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accelerator, "_QUICK", 0.0)
    tools = fake_qemu(tmp_path / "bin", "both are slow")
    assert find_emulator(tools, cache=tmp_path / "cache", kvm=kvm).accelerator == "kvm"


def test_the_answer_is_remembered_for_this_qemu(tmp_path: Path, kvm: Path) -> None:
    cache = tmp_path / "cache"
    for _ in range(2):
        tools = fake_qemu(tmp_path / "bin", "kvm works")
        assert find_emulator(tools, cache=cache, kvm=kvm).accelerator == "kvm"
    assert trials(tmp_path / "bin") == 1
    newer = fake_qemu(tmp_path / "newer", "kvm works", version="9.9.2")
    assert find_emulator(newer, cache=cache, kvm=kvm).version == "9.9.2"
    assert trials(tmp_path / "newer") == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": "x"}'])
def test_a_damaged_memory_is_no_memory(tmp_path: Path, kvm: Path, content: str) -> None:
    (tmp_path / "accelerator.json").write_text(content)
    tools = fake_qemu(tmp_path / "bin", "kvm works")
    assert find_emulator(tools, cache=tmp_path, kvm=kvm).accelerator == "kvm"


def test_without_the_device_nothing_is_tried(tmp_path: Path) -> None:
    tools = fake_qemu(tmp_path / "bin", "kvm works")
    found = find_emulator(tools, cache=tmp_path / "cache", kvm=tmp_path / "none")
    assert found.accelerator == "tcg"
    assert not trials(tmp_path / "bin")
    assert not (tmp_path / "cache").exists()


def test_a_qemu_without_seccomp(tmp_path: Path) -> None:
    tools = fake_qemu(tmp_path / "bin", "without seccomp")
    found = find_emulator(tools, cache=tmp_path, kvm=tmp_path / "none")
    assert found == Emulator(version="9.9.1", accelerator="tcg", sandbox=False)


def test_no_qemu_at_all(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing) as missing:
        find_emulator(Tools(path=str(tmp_path)), cache=tmp_path)
    assert missing.value.hint == 'Install the package "qemu-system-x86"'


def test_the_payload_is_a_boot_sector() -> None:
    disk = payload.disk()
    assert disk[510:512] == b"\x55\xaa"
    assert disk[0x81:].startswith(payload.MARKER.encode() + b"\0")
    assert not any(disk[512:])
