"""An installation from switching on to its end, with a fake QEMU that plays the installer."""

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.qemu import PICTURE, commands, fake_qemu
from imagefactory.core.errors import BootError, Cancelled
from imagefactory.engine.boot.accelerator import Emulator
from imagefactory.engine.boot.machine import Kernel
from imagefactory.engine.installer import installation
from imagefactory.engine.installer.installation import Installation, install
from imagefactory.engine.installer.watching import Limits, Phase
from imagefactory.engine.plan import Build

EMULATOR = Emulator(version="9.9.1", accelerator="tcg", sandbox=True)
PROMPT = Limits(start=5, prepare=5, install=10, inactivity=5)

pytestmark = pytest.mark.enable_socket  # the gateway listens on loopback


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the installer more often than anybody else needs."""
    monkeypatch.setattr(installation, "_LOOK", 0.1)


def a_build(tmp_path: Path, scenario: str) -> Build:
    for name in ("scratch", "artifacts", "cache"):
        (tmp_path / name).mkdir()
    return Build(
        id="build",
        state=tmp_path,
        scratch=tmp_path / "scratch",
        cache=tmp_path / "cache",
        artifacts=tmp_path / "artifacts",
        tools=fake_qemu(tmp_path / "bin", scenario),
        report=lambda _percent, _activity=None: None,
    )


def an_installation(build: Build, **more: Any) -> Installation:
    with build.disk.open("wb") as disk:
        disk.truncate(1 << 20)
    kernel = Kernel(image=Path("/k"), initrd=Path("/i"), arguments="console=ttyS0 auto=true")
    return replace(
        Installation(
            name="Debian 12",
            kernel=kernel,
            disk=build.disk,
            sources=("http://mirror.example.org/debian",),
            limits=PROMPT,
            log=build.artifacts / "installer.log",
            screenshot=build.artifacts / "installer.png",
        ),
        **more,
    )


def failure(tmp_path: Path, scenario: str, **limits: float) -> BootError:
    build = a_build(tmp_path, scenario)
    with pytest.raises(BootError) as caught:
        install(an_installation(build, limits=replace(PROMPT, **limits)), build, EMULATOR)
    return caught.value


def test_an_installer_that_ends(tmp_path: Path) -> None:
    build, phases = a_build(tmp_path, "installs"), list[Phase]()
    install(an_installation(build, entered=phases.append), build, EMULATOR)
    assert phases == ["prepare", "install"]
    assert build.disk.read_bytes().startswith(b"an installed system")
    assert b"Partitioning disks" in (build.artifacts / "installer.log").read_bytes()
    (argv,) = commands(tmp_path / "bin")
    words = " ".join(argv)
    assert "-kernel /k -initrd /i -append console=ttyS0 auto=true" in words
    assert "restrict=on,guestfwd=tcp:10.0.2.100:3128-cmd:" in words
    assert "-no-reboot" in argv
    assert not list(build.scratch.glob("tmp*"))


def test_an_idle_installer_is_noticed(tmp_path: Path) -> None:
    error = failure(tmp_path, "gets stuck", inactivity=0.5)
    assert str(error).startswith("No disk activity in 0 seconds, failing.  ")
    assert 'phase "prepare"' in str(error)
    assert "waiting for a device" in str(error)
    assert (tmp_path / "artifacts" / "installer.png").read_bytes() == PICTURE


def test_a_clock_on_the_console_is_no_activity(tmp_path: Path) -> None:
    error = failure(tmp_path, "shows a clock", inactivity=1)
    assert str(error).startswith("No disk activity in 1 seconds, failing.")


def test_an_installer_that_takes_too_long(tmp_path: Path) -> None:
    error = failure(tmp_path, "gets stuck", install=0.5)
    assert str(error).startswith("Timed out waiting for install to finish.  ")


@pytest.mark.parametrize("scenario", ["says nothing", "gets stuck"])
def test_each_phase_has_its_limit(tmp_path: Path, scenario: str) -> None:
    error = failure(tmp_path, scenario, start=0.4, prepare=0.2)
    phase = "start" if scenario == "says nothing" else "prepare"
    assert str(error).startswith("Timed out waiting for install to finish.  ")
    assert f'phase "{phase}"' in str(error)


def test_a_question_is_not_waited_for(tmp_path: Path) -> None:
    error = failure(tmp_path, "asks")
    assert 'The installer of "Debian 12" asks a question' in str(error)
    assert "Name server addresses:" in str(error)


def test_a_panic_is_told(tmp_path: Path) -> None:
    assert "Kernel panic - not syncing: No working init" in str(failure(tmp_path, "panics"))


def test_an_installer_that_ends_without_writing(tmp_path: Path) -> None:
    assert "installed nothing" in str(failure(tmp_path, "installs nothing"))


def test_what_qemu_itself_complains_of(tmp_path: Path) -> None:
    assert "cannot set up guest memory" in str(failure(tmp_path, "dies"))


def test_a_cancelled_installation_ends_at_once(tmp_path: Path) -> None:
    build = a_build(tmp_path, "gets stuck")
    threading.Timer(0.5, build.tools.cancellation.request).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        install(an_installation(build), build, EMULATOR)
    assert time.monotonic() - began < 5
