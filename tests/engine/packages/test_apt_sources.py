"""Package sources: lines, archives with their suites, and what a machine's own apt names."""

from dataclasses import replace
from pathlib import Path

import pytest

from imagefactory.core.errors import TemplateError, VerificationError
from imagefactory.core.template import Repository
from imagefactory.engine.packages.apt import repository_sources
from imagefactory.engine.packages.apt_repositories import guest_line
from imagefactory.engine.packages.apt_sources import (
    Archive,
    Line,
    Source,
    Suite,
    keyring_suffix,
    machine_mirrors,
    repository_line,
)

ARCHIVE = Archive(
    url="http://mirror.example.org/debian/",
    suites=(
        Suite(name="bookworm"),
        Suite(name="bookworm-updates", optional=True),
        Suite(name="bookworm-security", sibling="debian-security", optional=True),
    ),
    keyring="/usr/share/keyrings/host.gpg",
    guest_keyring="/usr/share/keyrings/guest.gpg",
)


def test_an_archive_is_one_source_for_each_suite() -> None:
    places = {source.suite: source.release for source in ARCHIVE.sources}
    assert places == {
        "bookworm": "http://mirror.example.org/debian/dists/bookworm",
        "bookworm-updates": "http://mirror.example.org/debian/dists/bookworm-updates",
        "bookworm-security": "http://mirror.example.org/debian-security/dists/bookworm-security",
    }
    assert [source.optional for source in ARCHIVE.sources] == [False, True, True]


@pytest.mark.parametrize(
    ("url", "sibling"),
    [
        ("http://a.example/pub/debian", "http://a.example/pub/debian-security"),
        ("http://a.example/debian/", "http://a.example/debian-security"),
        ("http://a.example", "http://a.example/debian-security"),
        ("http://a.example/", "http://a.example/debian-security"),
    ],
)
def test_the_sibling_lies_beside_the_archive(url: str, sibling: str) -> None:
    archive = replace(ARCHIVE, url=url)
    assert archive.place(Suite(name="x", sibling="debian-security")) == sibling


def test_the_guests_stanzas_leave_out_what_the_archive_lacks() -> None:
    archive = ARCHIVE.only({"bookworm"})
    assert archive.stanzas() == (
        "Types: deb\nURIs: http://mirror.example.org/debian\nSuites: bookworm\n"
        "Components: main\nSigned-By: /usr/share/keyrings/guest.gpg\n"
    )
    assert ARCHIVE.only(None) == ARCHIVE


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "deb http://a.example/x/ stable main contrib",
            Line(
                options={}, url="http://a.example/x", suite="stable", components=("main", "contrib")
            ),
        ),
        (
            "deb [arch=amd64 trusted=yes]  http://a.example/x  ./  # why",
            Line(
                options={"arch": "amd64", "trusted": "yes"},
                url="http://a.example/x",
                suite="./",
                components=(),
            ),
        ),
        (
            "deb http://a.example/x /",
            Line(options={}, url="http://a.example/x", suite="./", components=()),
        ),
    ],
)
def test_a_line_is_taken_apart(text: str, line: Line) -> None:
    assert Line.parse(text) == line


@pytest.mark.parametrize(
    "text",
    [
        "http://a.example/x stable main",
        "deb-src http://a.example/x stable main",
        "deb http://a.example/x stable",
        "deb http://a.example/x ./ main",
        "deb file:/srv/x stable main",
        "deb http://a.example/x ../../etc main",
        "deb http://a.example/x /etc/ ",
        "deb http://a.example/x stable ../../../main",
        "deb http://a.example/x stable main\ndeb http://b.example/ y main",
        "",
    ],
)
def test_what_is_no_line_of_the_web_is_refused(text: str) -> None:
    with pytest.raises(TemplateError) as caught:
        repository_line(Repository(name="extra", url=text))
    assert str(caught.value).startswith(f'The repository "extra" has "{text}" as its URL')


def test_an_unsigned_repository_is_taken_as_it_is() -> None:
    url = "deb [signed-by=/etc/x.gpg] http://a.example/x stable main"
    repository = Repository(name="extra", url=url)
    source = Source(name="extra", url="http://a.example/x", suite="stable", components=("main",))
    assert repository_sources([repository], {}) == (source,)
    assert guest_line(repository, None) == "deb [trusted=yes] http://a.example/x stable main\n"


def test_a_signed_repository_needs_its_keyring() -> None:
    url = "deb [trusted=yes arch=amd64] http://a.example/x stable main"
    repository = Repository(name="extra", url=url, signed=True)
    with pytest.raises(VerificationError) as caught:
        repository_sources([repository], {"http://b.example/": "/b.gpg"})
    assert '"extra"' in str(caught.value)
    (source,) = repository_sources([repository], {"http://a.example/": "/a.gpg"})
    assert source.keyring == "/a.gpg"
    assert guest_line(repository, "/etc/apt/keyrings/extra.gpg") == (
        "deb [arch=amd64 signed-by=/etc/apt/keyrings/extra.gpg] http://a.example/x stable main\n"
    )


def test_a_keyring_is_called_what_apt_reads() -> None:
    assert keyring_suffix(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n") == ".asc"
    assert keyring_suffix(b"\x99\x01") == ".gpg"


def test_a_machines_mirrors_are_read_from_lines(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(
        "# deb http://old.example/debian bullseye main\n"
        "deb http://near.example/debian/ bookworm main\n"
        "deb-src http://source.example/debian bookworm main\n"
        "deb http://near.example/security bookworm-security main\n"
    )
    assert machine_mirrors(apt=tmp_path) == {
        "http://mirror.example.org/debian": "http://near.example/debian",
        "http://mirror.example.org/debian-security": "http://near.example/security",
    }


def test_a_machines_mirrors_are_read_from_stanzas(tmp_path: Path) -> None:
    folder = tmp_path / "sources.list.d"
    folder.mkdir()
    (folder / "a.sources").write_text(
        "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: x\nComponents: main\n\n"
        "Types: deb deb-src\n# where\nURIs: http://near.example/debian\n"
        "Suites: bookworm bookworm-updates\nComponents: main\n"
    )
    (folder / "other.list").write_text("deb http://tools.example/apt stable main\n")
    assert machine_mirrors(apt=tmp_path, url="http://m.example/d/debian") == {
        "http://m.example/d/debian": "http://near.example/debian",
        "http://m.example/d/debian-security": "http://near.example/debian-security",
    }


def test_a_machine_of_another_kind_has_none(tmp_path: Path) -> None:
    assert machine_mirrors(apt=tmp_path) == {}
