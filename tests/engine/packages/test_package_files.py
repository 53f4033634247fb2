"""Package files: when they were built is read from them."""

from pathlib import Path

import pytest

from imagefactory.core.errors import BuildError
from imagefactory.engine.packages.package_files import built


def test_a_packages_age_is_its_first_members(tmp_path: Path) -> None:
    deb = tmp_path / "x.deb"
    member = "debian-binary   1700000000  0     0     100644  4         `\n"
    deb.write_bytes(b"!<arch>\n" + member.encode() + b"2.0\n")
    assert built(deb) == 1_700_000_000


@pytest.mark.parametrize("content", [b"", b"!<arch>\n", b"PK\x03\x04" + bytes(100)])
def test_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    deb = tmp_path / "x.deb"
    deb.write_bytes(content)
    with pytest.raises(BuildError) as caught:
        built(deb)
    assert str(caught.value) == f'The file "{deb}" is not a Debian package'
