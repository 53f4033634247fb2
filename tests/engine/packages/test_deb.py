"""Package files: what they say about themselves is read without unpacking them."""

import subprocess
from pathlib import Path

import pytest

from imagefactory.core.errors import BuildError
from imagefactory.engine.packages.deb import age, control_files

CONTROL = (
    "Package: x\nVersion: 1\nArchitecture: all\n"
    "Maintainer: Nobody <nobody@example.org>\nDescription: test\n"
)


def a_package(folder: Path, *, packed: str) -> Path:
    """A real package, made by dpkg-deb."""
    control = folder / "x" / "DEBIAN"
    control.mkdir(parents=True)
    control.chmod(0o755)
    (control / "control").write_text(CONTROL)
    (control / "preinst").write_text("#!/bin/sh\n")
    (control / "preinst").chmod(0o755)
    deb = folder / "x.deb"
    command = ["dpkg-deb", "--root-owner-group", "--uniform-compression", f"-Z{packed}", "--build"]
    subprocess.run([*command, folder / "x", deb], check=True, capture_output=True)
    return deb


def test_a_packages_age_is_its_first_members(tmp_path: Path) -> None:
    deb = tmp_path / "x.deb"
    member = "debian-binary   1700000000  0     0     100644  4         `\n"
    deb.write_bytes(b"!<arch>\n" + member.encode() + b"2.0\n")
    assert age(deb) == 1_700_000_000


@pytest.mark.parametrize("packed", ["none", "gzip", "xz", "zstd"])
def test_control_files_are_read_whatever_packs_them(tmp_path: Path, packed: str) -> None:
    files = control_files(a_package(tmp_path, packed=packed))
    assert {name: file.mode for name, file in files.items()} == {"control": 0o644, "preinst": 0o755}
    assert files["control"].data.decode() == CONTROL


@pytest.mark.parametrize("content", [b"", b"!<arch>\n", b"PK\x03\x04" + bytes(100)])
def test_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    deb = tmp_path / "x.deb"
    deb.write_bytes(content)
    for read in (age, control_files):
        with pytest.raises(BuildError) as caught:
            read(deb)
        assert str(caught.value) == f'The file "{deb}" is not a Debian package'
