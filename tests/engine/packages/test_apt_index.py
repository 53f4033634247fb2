"""Release files: dates, digests, and which indexes a source needs."""

from imagefactory.engine.packages.apt_index import Index, Release
from imagefactory.engine.packages.apt_sources import Source

A, B, C = "a" * 64, "b" * 64, "c" * 64

SIGNED = f"""-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Origin: Debian
Date: Sat, 11 Jul 2026 10:16:37 UTC
Acquire-By-Hash: yes
Architectures: all amd64
Components: main contrib
MD5Sum:
 d41d8cd98f00b204e9800998ecf8427e        7 main/binary-amd64/Packages
SHA256:
 {A}        7 main/binary-amd64/Packages
 {B}        5 main/binary-amd64/Packages.xz
 {C}        6 main/binary-all/Packages.gz
-----BEGIN PGP SIGNATURE-----

iQIzBAEBCAAdFiEE
-----END PGP SIGNATURE-----
"""

SOURCE = Source(name="x", url="http://a.example", suite="stable", components=("main",))


def test_the_signed_text_is_read() -> None:
    release = Release.parse(SIGNED)
    assert release.date == 1783764997
    assert release.by_hash
    assert release.indexes["main/binary-amd64/Packages.xz"].sha256 == B


def test_the_best_packed_index_is_chosen() -> None:
    assert Release.parse(SIGNED).chosen(SOURCE, "amd64") == {
        "main for amd64": Index(path="main/binary-amd64/Packages.xz", sha256=B, size=5),
        "main for all architectures": Index(path="main/binary-all/Packages.gz", sha256=C, size=6),
    }


def test_packages_for_all_architectures_are_mostly_in_the_same_index() -> None:
    for change in (
        ("Architectures: all amd64", "Architectures: amd64"),
        ("Acquire-By-Hash: yes", "No-Support-for-Architecture-all: Packages"),
    ):
        release = Release.parse(SIGNED.replace(*change))
        assert list(release.chosen(SOURCE, "amd64")) == ["main for amd64"]


def test_what_is_missing_is_known() -> None:
    release = Release.parse(SIGNED)
    assert release.chosen(SOURCE, "arm64")["main for arm64"] is None


def test_an_empty_release_file_is_no_error() -> None:
    release = Release.parse("")
    assert (release.date, release.by_hash, release.indexes) == (0, False, {})
