"""The step that runs a utility image, with a fake QEMU whose guest has a real shell."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contract import TOKEN
from fakes.build import a_build
from fakes.qemu import PASSWORD, commands, fake_qemu
from imagefactory.core.errors import BuildError, CommandFailed
from imagefactory.core.secret import Secret
from imagefactory.core.template import parse_customizations
from imagefactory.engine.boot import errands
from imagefactory.engine.boot.utility import RunUtility
from imagefactory.engine.plan import Build, Other

_SBIN = "/usr/sbin:/sbin"

pytestmark = pytest.mark.skipif(
    shutil.which("mkfs.ext4", path=_SBIN) is None, reason="mkfs.ext4 is not installed"
)


@pytest.fixture
def log() -> list[str]:
    """The lines of the build's log."""
    return []


@pytest.fixture
def build(tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch) -> Build:
    """A build with an input; what would be in the guest's /run is in the test's folder."""
    for name in ("_FAILED", "_SCRIPT"):
        monkeypatch.setattr(errands, name, str(tmp_path / f"run{name}"))
    fake = fake_qemu(tmp_path / "bin", "comes up")
    tools = replace(fake, path=f"{fake.path}:{_SBIN}", log=log.append)
    source = tmp_path / "source"
    source.write_bytes(os.urandom(1 << 20))
    return a_build(tmp_path / "state", tools=tools, source=source)


def a_step(tasks: str = "", **changed: Any) -> RunUtility:
    """A step whose result is its input, unless somebody changes that."""
    usual: dict[str, Any] = {
        "utility": None,
        "password": Secret(PASSWORD),
        "tasks": parse_customizations(f"<template>{tasks}</template>"),
        "input_file": "/a/file",
        "results": "/a/file",
        "firmware": "bios",
        "processors": 1,
        "memory": 64 << 20,
        "network": False,
        "boot_timeout": 20,
        "timeout": 20,
    }
    return RunUtility(**{**usual, **changed})


def test_tasks_are_done_and_the_result_is_taken(
    build: Build, tmp_path: Path, log: list[str]
) -> None:
    text = "0123456789abcdef" * 10_000
    tasks = (
        f'<files><file name="{tmp_path}/made/file">{text}</file></files>'
        f"<commands><command name='look'>wc -c &lt; {tmp_path}/made/file</command></commands>"
    )
    a_step(tasks).run(build)
    assert (tmp_path / "made" / "file").read_text() == text
    assert '== the command "look": 0\n160000' in log
    assert build.source is not None
    assert build.disk.read_bytes() == build.source.read_bytes()
    assert build.notes()["virtual_size"] == 1 << 20
    assert (build.artifacts / "utility.log").stat().st_size
    assert sorted(path.name for path in build.scratch.iterdir()) == ["disk", "notes.json"]
    words = commands(tmp_path / "bin")[-1]
    assert "virtio-blk-pci,drive=drive0" in words
    assert "virtio-blk-pci,drive=drive1" not in words


def test_a_task_that_fails_ends_it_and_leaves_nothing(build: Build, tmp_path: Path) -> None:
    tasks = (
        "<commands><command name='no'>echo sorry; exit 7</command>"
        f"<command name='later'>echo > {tmp_path}/later</command></commands>"
    )
    wanted = 'In the utility image the command "no" failed with exit status 7: sorry'
    with pytest.raises(CommandFailed, match=wanted):
        a_step(tasks.replace("echo >", "echo &gt;")).run(build)
    assert not (tmp_path / "later").exists()
    assert not build.disk.exists()
    assert not list(build.scratch.iterdir())


def test_the_input_as_a_disk_is_a_copy(build: Build, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match='has left no file "/a/file" in its working space'):
        a_step(input_file=None).run(build)
    assert "virtio-blk-pci,drive=drive1" in commands(tmp_path / "bin")[-1]
    assert not list(build.scratch.iterdir())


def test_another_image_may_be_the_utility(build: Build, tmp_path: Path) -> None:
    asked: list[str] = []

    def other(image_id: str) -> Other:
        asked.append(image_id)
        body = tmp_path / "other"
        body.write_bytes(bytes(4096))
        return Other(body=body, password=Secret(PASSWORD))

    a_step(utility=TOKEN, password=None).run(replace(build, other=other))
    assert asked == [TOKEN]
    with pytest.raises(BuildError, match=f'There is no image "{TOKEN}"'):
        a_step(utility=TOKEN).run(build)


def test_without_a_password_nobody_can_log_in(build: Build) -> None:
    with pytest.raises(BuildError, match="has no root password to log in with") as error:
        a_step(password=None).run(build)
    assert error.value.hint == "Give its template a <rootpw>"
