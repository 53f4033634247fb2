"""Resolving with the real apt, from archives that the tests make, sign and break."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.build import a_build
from fakes.debian import DATE, Key, a_key, entry, publish, publish_flat
from fakes.web import Site, a_site
from imagefactory.core.errors import FactoryError, FetchError, PackageError, VerificationError
from imagefactory.core.template import Repository
from imagefactory.engine.command import Tools
from imagefactory.engine.packages.apt import ResolveApt
from imagefactory.engine.packages.apt_sources import Archive, Suite
from imagefactory.engine.packages.locked import FetchPackages, present_sources, read_lock
from imagefactory.engine.plan import Build

HOST = "http://mirror.example.org"
NAMED = f"{HOST}/debian"

SYSTEM = [
    entry("base-files", Essential="yes", Priority="required"),
    entry("apt", Priority="important", Depends="libapt"),
    entry("libapt"),
    entry("tzdata", Priority="required"),
    entry("kernel", Recommends="firmware"),
    entry("firmware"),
    entry("editor", Depends="editor-data (>= 1)", Recommends="spelling"),
    entry("editor-data"),
    entry("spelling"),
    entry("mawk", Provides="awk"),
    entry("gawk", Provides="awk"),
    entry("exim", Provides="mail-transport-agent"),
    entry("hopeless", Depends="nowhere (>= 2)"),
    entry("hostile", Conflicts="base-files"),
]
BASE = ["apt", "base-files", "kernel", "libapt", "tzdata"]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Key]:
    with a_key(tmp_path_factory.mktemp("key")) as made:
        yield made


@pytest.fixture
def site(key: Key) -> Iterator[Site]:
    with a_site() as made:
        publish(made, SYSTEM, suite="stable", key=key)
        yield made


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def build(tmp_path: Path, site: Site, lines: list[str]) -> Build:
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    build = a_build(state, tools=Tools(log=lines.append))
    return replace(build, mirrors={HOST: site.url})


@pytest.fixture
def archive(key: Key) -> Archive:
    return Archive(
        url=NAMED,
        suites=(
            Suite(name="stable"),
            Suite(name="stable-security", sibling="debian-security", optional=True),
        ),
        keyring=str(key.keyring),
        guest_keyring="/usr/share/keyrings/test.gpg",
    )


def resolve(build: Build, archive: Archive, **fields: Any) -> dict[str, list[str]]:
    """The names in each layer of the lock that a step writes."""
    step = ResolveApt(
        **{
            "system": "Debian",
            "version": "12",
            "arch": "x86_64",
            "archive": archive,
            "base": ("kernel",),
            **fields,
        }
    )
    step.run(build)
    lock = read_lock(build)
    return {name: [one.name for one in lock.layer(name)] for name in ("base", "packages")}


def refusal(build: Build, archive: Archive, **fields: Any) -> FactoryError:
    with pytest.raises(FactoryError) as caught:
        resolve(build, archive, **fields)
    return caught.value


def test_the_base_has_no_recommendations_and_the_packages_do(
    build: Build, archive: Archive
) -> None:
    layers = resolve(build, archive, packages=("editor",))
    assert layers == {"base": BASE, "packages": ["editor", "editor-data", "spelling"]}
    assert (build.artifacts / "lock.json").read_text() == read_lock(build).dumps()


def test_a_keyring_of_the_configuration_stands_in_for_the_distributions(
    build: Build, archive: Archive, key: Key
) -> None:
    unknown = replace(archive, keyring="/usr/share/keyrings/missing.gpg")
    error = refusal(build, unknown)
    assert 'keyring "/usr/share/keyrings/missing.gpg"' in str(error)
    known = replace(build, keyrings={HOST: str(key.keyring)})
    assert resolve(known, unknown)["base"] == BASE


def test_only_a_snapshot_may_have_expired(
    build: Build, archive: Archive, site: Site, key: Key
) -> None:
    past = "Fri, 06 Nov 2020 08:08:01 UTC"
    publish(site, SYSTEM, suite="stable", key=key, Valid_Until=past)
    assert "it has expired" in str(refusal(build, archive))
    elsewhere = replace(build, snapshots=(f"{HOST}/other",))
    assert "it has expired" in str(refusal(elsewhere, archive))
    assert resolve(replace(build, snapshots=(HOST,)), archive)["base"] == BASE


def test_recommendations_can_be_left_out(build: Build, archive: Archive) -> None:
    layers = resolve(build, archive, packages=("editor",), recommends=False)
    assert layers["packages"] == ["editor", "editor-data"]


def test_a_lock_names_the_templates_mirror_and_every_digest(build: Build, archive: Archive) -> None:
    resolve(build, archive, packages=("spelling",))
    lock = read_lock(build)
    found = {one.name: one for one in lock.packages}["spelling"]
    assert found.url == f"{NAMED}/pool/spelling_1_all.deb"
    assert found.origin == "stable"
    assert (found.sha256, found.size) == (_sha256("spelling"), len(_content("spelling")))
    assert lock.epoch == DATE


def test_everything_in_the_lock_can_be_fetched(build: Build, archive: Archive) -> None:
    resolve(build, archive, packages=("editor",))
    FetchPackages().run(build)
    for package in read_lock(build).packages:
        path = build.cache / "objects" / package.sha256[:2] / package.sha256
        assert path.read_bytes() == _content(package.name)


def test_a_given_lock_asks_nobody(build: Build, archive: Archive, site: Site) -> None:
    resolve(build, archive, packages=("editor",))
    text = read_lock(build).dumps()
    site.files.clear()
    site.asked.clear()
    assert resolve(build, archive, packages=("editor",), lock=text)["base"] == BASE
    assert site.asked == []
    other = refusal(build, archive, version="13", lock=text)
    assert (
        str(other) == 'The lock is for "Debian 12 x86_64", and the template for "Debian 13 x86_64"'
    )
    bad = text.replace('"name": "apt"', '"name": "../apt"')
    assert str(refusal(build, archive, lock=bad)) == (
        'The lock has a malformed entry for the package "../apt"'
    )


def test_an_index_that_has_not_changed_is_not_fetched_again(
    build: Build, archive: Archive, site: Site, key: Key, lines: list[str]
) -> None:
    resolve(build, archive, packages=("editor",))
    index = "/debian/dists/stable/main/binary-amd64/Packages.gz"
    assert site.times_asked(index) == 1
    resolve(build, archive, packages=("editor",))
    assert site.times_asked(index) == 1
    assert "The indexes have not changed since they were read last" in lines
    publish(site, [*SYSTEM, entry("editor", "2")], suite="stable", key=key, date=DATE + 9)
    resolve(build, archive, packages=("editor",))
    assert [one.version for one in read_lock(build).packages if one.name == "editor"] == ["2"]
    assert read_lock(build).epoch == DATE + 9


def test_a_security_suite_beside_the_archive_is_used_where_it_is(
    build: Build, archive: Archive, site: Site, key: Key, lines: list[str]
) -> None:
    resolve(build, archive)
    place = f"{site.url}/debian-security/dists/stable-security"
    assert f'"{place}" does not exist; the build goes on without "stable-security"' in lines
    assert present_sources(build) == {"stable"}
    fixed = [entry("libapt", "1+fix")]
    publish(site, fixed, suite="stable-security", at="/debian-security", key=key)
    resolve(build, archive)
    found = {one.name: one for one in read_lock(build).packages}["libapt"]
    assert (found.version, found.origin) == ("1+fix", "stable-security")
    assert found.url == f"{HOST}/debian-security/pool/libapt_1+fix_all.deb"
    assert present_sources(build) == {"stable", "stable-security"}


@pytest.mark.parametrize(
    ("request_", "brief", "hint"),
    [
        ("editr", 'The package "editr" is unknown', 'For "editr", there is "editor"'),
        (
            "awk",
            'The package "awk" is virtual, and more than one package provides it',
            'Name one of "gawk" or "mawk"',
        ),
        ("editor=9", 'The package "editor" has no version "9"', 'There is "1"'),
        ("editor/next", 'The package "editor" is not in the suite "next"', 'There is "stable"'),
        (
            "hopeless",
            (
                'The package "hopeless" cannot be installed: it depends on "nowhere" (>= 2), '
                "but it is not installable"
            ),
            None,
        ),
        ("-oDir=/", '"-oDir=/" is not the name of a package', None),
        ("./editor.deb", '"./editor.deb" is not the name of a package', None),
    ],
)
def test_a_package_that_cannot_be_had_is_one_sentence(
    build: Build, archive: Archive, request_: str, brief: str, hint: str | None
) -> None:
    error = refusal(build, archive, packages=(request_,))
    assert isinstance(error, PackageError)
    assert str(error) == brief
    if hint is not None:
        assert error.hint is not None
        assert error.hint.startswith(hint)


def test_several_unknown_packages_are_all_named(build: Build, archive: Archive) -> None:
    error = refusal(build, archive, packages=("editr", "zzzzz"))
    assert str(error) == 'The packages "editr" and "zzzzz" are unknown'


@pytest.mark.parametrize("request_", ["editor=1", "editor/stable", "mail-transport-agent"])
def test_what_apt_understands_may_be_asked_for(
    build: Build, archive: Archive, request_: str
) -> None:
    assert {"editor", "exim"} & set(resolve(build, archive, packages=(request_,))["packages"])


def test_metadata_of_another_key_is_refused(
    build: Build, archive: Archive, site: Site, tmp_path: Path
) -> None:
    with a_key(tmp_path, "stranger") as stranger:
        publish(site, SYSTEM, suite="stable", key=stranger)
    error = refusal(build, archive)
    assert isinstance(error, VerificationError)
    place = f"{site.url}/debian/dists/stable"
    start = f'The metadata at "{place}" cannot be trusted: it is signed by the unknown key '
    assert str(error).startswith(start)
    assert error.hint == f'It is verified with the keys in "{archive.keyring}"'


def test_metadata_that_was_changed_after_signing_is_refused(
    build: Build, archive: Archive, site: Site
) -> None:
    path = "/debian/dists/stable/InRelease"
    site.files[path] = site.files[path].replace(b"Origin: Test", b"Origin: Evil")
    error = refusal(build, archive)
    assert isinstance(error, VerificationError)
    assert "its content does not match the signature by the key" in str(error)


def test_unsigned_metadata_is_refused(build: Build, archive: Archive, site: Site) -> None:
    publish(site, SYSTEM, suite="stable")
    error = refusal(build, archive)
    assert isinstance(error, VerificationError)
    assert str(error) == f'The metadata at "{site.url}/debian/dists/stable/Release" is not signed'


def test_metadata_that_has_expired_is_refused(
    build: Build, archive: Archive, site: Site, key: Key
) -> None:
    until = "Wed, 15 Nov 2023 00:00:00 UTC"
    publish(site, SYSTEM, suite="stable", key=key, Valid_Until=until)
    error = refusal(build, archive)
    assert isinstance(error, VerificationError)
    assert "cannot be trusted: it has expired (invalid since" in str(error)


def test_a_tampered_index_is_refused(build: Build, archive: Archive, site: Site) -> None:
    path = "/debian/dists/stable/main/binary-amd64/Packages.gz"
    site.files[path] = site.files[path][:-1] + b"\1"
    error = refusal(build, archive)
    assert isinstance(error, VerificationError)
    assert f'The index "main/binary-amd64/Packages.gz" from "{site.url}{path}"' in str(error)


def test_a_detached_signature_is_as_good(
    build: Build, archive: Archive, site: Site, key: Key
) -> None:
    publish(site, SYSTEM, suite="stable")
    release = site.files["/debian/dists/stable/Release"]
    signature = key.sign(release.decode(), how="--detach-sign")
    site.files["/debian/dists/stable/Release.gpg"] = signature
    assert resolve(build, archive)["base"] == BASE


def test_a_suite_that_is_not_there_is_named(build: Build, archive: Archive, site: Site) -> None:
    error = refusal(build, replace(archive, suites=(Suite(name="nosuch"),)))
    assert isinstance(error, FetchError)
    place = f"{site.url}/debian/dists/nosuch/InRelease"
    assert str(error) == f'Could not fetch "{place}": the server answered 404'


def test_a_component_that_is_not_there_is_named(build: Build, archive: Archive) -> None:
    error = refusal(build, replace(archive, components=("main", "extra")))
    assert str(error) == (f'The archive at "{NAMED}/dists/stable" has no extra for amd64')


def test_a_keyring_that_is_not_there_is_named(build: Build, archive: Archive) -> None:
    error = refusal(build, replace(archive, keyring="/nonexistent.gpg"))
    assert str(error) == (
        f'The keyring "/nonexistent.gpg", which "{NAMED}" is verified with, does not exist'
    )


def test_a_repository_adds_packages_and_never_touches_the_base(
    build: Build, archive: Archive, site: Site
) -> None:
    extra = [entry("special", Depends="editor-data (>= 5)"), entry("editor-data", "5")]
    publish(site, [*extra, entry("kernel", "9")], suite="extra", at="/extra")
    repository = Repository(name="extra", url=f"deb {HOST}/extra extra main")
    layers = resolve(build, archive, packages=("special",), repositories=(repository,))
    assert layers["packages"] == ["editor-data", "special"]
    found = {one.name: one for one in read_lock(build).packages}
    assert found["kernel"].version == "1"
    assert (found["special"].origin, found["editor-data"].version) == ("extra", "5")
    assert found["special"].url == f"{HOST}/extra/pool/special_1_all.deb"


def test_a_flat_repository_needs_no_release_file(
    build: Build, archive: Archive, site: Site
) -> None:
    publish_flat(site, [entry("special")], at="/flat")
    repository = Repository(name="flat", url=f"deb {HOST}/flat ./")
    resolve(build, archive, packages=("special",), repositories=(repository,))
    found = {one.name: one for one in read_lock(build).packages}["special"]
    assert found.url == f"{HOST}/flat/pool/special_1_all.deb"


def test_a_signed_repository_is_really_verified(
    build: Build, archive: Archive, site: Site, key: Key
) -> None:
    line = f"deb {HOST}/extra extra main"
    signed = Repository(name="extra", url=line, signed=True)
    fields: dict[str, Any] = {"packages": ("special",), "repositories": (signed,)}
    publish(site, [entry("special")], suite="extra", at="/extra")
    error = refusal(build, archive, **fields)
    assert isinstance(error, VerificationError)
    assert str(error) == (
        f'The repository "extra" is to be signed, and no keyring is known for "{HOST}/extra"'
    )
    known = replace(build, keyrings={f"{HOST}/extra": str(key.keyring)})
    assert "is not signed" in str(refusal(known, archive, **fields))
    publish(site, [entry("special")], suite="extra", at="/extra", key=key)
    assert resolve(known, archive, **fields)["packages"] == ["special"]


def _content(name: str) -> bytes:
    return entry(name).content


def _sha256(name: str) -> str:
    return entry(name).stanza.partition("SHA256: ")[2].partition("\n")[0]
