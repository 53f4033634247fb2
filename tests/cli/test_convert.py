"""The format writers on their own."""

import json
import subprocess
from pathlib import Path

import pytest

from fakes.program import Run

SIZE = 3 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A raw disk, mostly empty."""
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        file.truncate(SIZE)
        file.seek(1 << 20)
        file.write(b"content" * 30_000)
    return path


@pytest.mark.parametrize(
    ("form", "compression"),
    [("qcow2", "zlib"), ("qcow2", "none"), ("vmdk", "zlib"), ("raw", "none"), ("vhdx", "none")],
)
@pytest.mark.parametrize("source", ["raw", "qcow2"])
@pytest.mark.integration
def test_the_disk_stays_the_same(
    run: Run, tmp_path: Path, disk: Path, form: str, compression: str, source: str
) -> None:
    if source == "qcow2":
        given = tmp_path / "disk.qcow2"
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", disk, given], check=True)
    else:
        given = disk
    target = tmp_path / "target"
    how = "--format", form, "--compression", compression
    outcome = run("convert", given, target, *how, "--output", "json", "--tmpdir", tmp_path)
    assert outcome.status == 0, outcome.err
    assert json.loads(outcome.out)["virtual_size"] == SIZE
    compare: list[str | Path] = ["qemu-img", "compare", "-f", "raw", "-F", form, disk, target]
    subprocess.run(compare, check=True, capture_output=True)
    assert {path.name for path in tmp_path.iterdir()} <= {
        "disk.raw", "disk.qcow2", "target", "imagefactory.conf",
    }  # fmt: skip


@pytest.mark.parametrize("form", ["qcow2", "vmdk", "raw"])
def test_what_is_written_is_written_whole(run: Run, tmp_path: Path, disk: Path, form: str) -> None:
    target = tmp_path / "target"
    target.write_text("old")
    assert run("convert", disk, target, "--format", form).status == 0
    heads = {"qcow2": b"QFI\xfb", "vmdk": b"KDMV", "raw": bytes(4)}
    assert target.read_bytes()[:4] == heads[form]
    missing = run("convert", tmp_path / "none", target, "--format", form)
    assert missing.status == 1
    assert f'"{tmp_path}/none" cannot be converted: No such file' in missing.err
    assert target.read_bytes()[:4] == heads[form]


def test_what_cannot_be_asked_for_is_refused(run: Run, disk: Path, tmp_path: Path) -> None:
    for form, compression in (("vmdk", "none"), ("raw", "zlib"), ("tar.gz", "zstd")):
        how = "--format", form, "--compression", compression
        outcome = run("convert", disk, tmp_path / "x", *how)
        assert outcome.status == 1
        assert f'The format "{form}" is' in outcome.err
