"""What a machine is told to do, as its shell will read it."""

import os
import subprocess
from pathlib import Path

from fakes.build import a_build
from imagefactory.core.template import parse_customizations
from imagefactory.engine.boot.errands import Errand, errands


def asked(tmp_path: Path, content: str) -> list[Errand]:
    """The errands of a template with this content."""
    return list(errands(a_build(tmp_path), parse_customizations(f"<template>{content}</template>")))


def shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)


def test_a_file_of_any_bytes_is_written_whole(tmp_path: Path) -> None:
    data, target = os.urandom(150_000), tmp_path / "a folder" / "it's"
    encoded = subprocess.run(["base64", "-w0"], input=data, capture_output=True, check=True).stdout
    files = f'<files><file name="{target}" type="base64">{encoded.decode()}</file></files>'
    todo = asked(tmp_path, files)
    assert len(todo) == 4
    assert {errand.what for errand in todo} == {f'writing "{target}"'}
    for errand in todo:
        assert len(errand.line) < 100_000, "one argument may have 128 KiB"
        assert shell(errand.command).returncode == 0
    assert target.read_bytes() == data
    [empty] = asked(tmp_path, f'<files><file name="{target}"/></files>')
    assert shell(empty.command).returncode == 0
    assert target.read_bytes() == b""


def test_all_is_done_in_the_order_of_a_template(tmp_path: Path) -> None:
    todo = asked(
        tmp_path,
        "<commands><command name='run'>true</command></commands>"
        "<files><file name='/a'>b</file></files>"
        "<packages><package name='one'/><package name='t wo'/></packages>"
        "<repositories><repository name='own'><url>deb http://x.example.org/ ./</url></repository>"
        "<repository name='other'><url>http://y.example.org/</url></repository></repositories>",
    )
    assert list(dict.fromkeys(errand.what for errand in todo)) == [
        'adding the repository "own"',
        'adding the repository "other"',
        "installing packages",
        'writing "/a"',
        'the command "run"',
    ]
    assert "/etc/apt/sources.list.d/own.list" in todo[0].command
    assert "/etc/yum.repos.d/other.repo" in todo[1].command
    assert "apt-get -qq install --yes one 't wo'" in todo[2].command
    assert all(shell(f"true || {{ {errand.line}\n}}").returncode == 0 for errand in todo)


def test_nothing_is_done_after_a_failure(tmp_path: Path) -> None:
    mark, log = tmp_path / "failed", tmp_path / "log"
    lines = [
        Errand(what="it", command=command).line.replace("/run/imagefactory-failed", str(mark))
        for command in (f"echo one >> {log}", f"echo two >> {log}; exit 3", f"echo three >> {log}")
    ]
    assert [shell(line).returncode for line in lines] == [0, 3, 125]
    assert log.read_text().split() == ["one", "two"]
