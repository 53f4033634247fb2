"""What rpm has installed, with what its tags and the lock say."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefactory.core.bill import Supplier
from imagefactory.core.lock import Lock, LockedPackage
from imagefactory.engine.packages.rpm_installed import installed, licensing

LISTING: Final = (
    "gpg-pubkey\t(none)\t(none)\tabc\tdef\t(none)\tpubkey\t(none)\t(none)\ta key\n"
    "vim-common\tx86_64\t2\t9.1\t3.fc42\tvim-9.1-3.fc42.src.rpm\tVim AND MIT\tFedora Project"
    "\thttps://www.example.org/vim\tFiles\tof Vim\n"
    "\t/etc/vimrc\n\t/usr/share/vim\n"
    "basesystem\tnoarch\t(none)\t11\t22.fc42\tbasesystem-11-22.fc42.src.rpm\tPublic Domain"
    "\t(none)\t(none)\t(none)\n"
)
LOCK: Final = Lock(
    system="Fedora", version="42", arch="x86_64", epoch=0,
    packages=(
        LockedPackage(
            name="vim-common", version="2:9.1-3.fc42", arch="x86_64",
            url="http://mirror.example.org/vim.rpm", size=1, sha256="a" * 64, origin="fedora",
        ),
    ),
)  # fmt: skip


def test_what_is_installed_is_told_in_full() -> None:
    base, vim = installed(LISTING, lock=LOCK)
    assert (vim.family, vim.name, vim.arch, vim.epoch) == ("rpm", "vim-common", "x86_64", "2")
    assert (vim.version, vim.source) == ("9.1-3.fc42", "vim-9.1-3.fc42.src.rpm")
    assert vim.files == ("/etc/vimrc", "/usr/share/vim")
    assert (vim.url, vim.sha256) == ("http://mirror.example.org/vim.rpm", "a" * 64)
    assert vim.supplier == Supplier(name="Fedora Project")
    assert (vim.homepage, vim.summary) == ("https://www.example.org/vim", "Files\tof Vim")
    assert vim.licensing.expression == "Vim AND MIT"
    assert vim.package_url(distribution="fedora", release="42") == (
        "pkg:rpm/fedora/vim-common@9.1-3.fc42"
        "?arch=x86_64&distro=fedora-42&epoch=2&upstream=vim-9.1-3.fc42.src.rpm"
    )
    assert (base.epoch, base.files, base.url, base.supplier) == (None, (), None, None)
    assert (base.homepage, base.summary) == (None, None)


@pytest.mark.parametrize(
    ("tag", "expression"),
    [
        ("MIT", "MIT"),
        ("GPL-2.0-or-later and (MIT  or ISC)", "GPL-2.0-or-later AND (MIT OR ISC)"),
        ("GPLv2+", "GPL-2.0-or-later"),
        ("GPLv2+ and LGPLv2.1", "GPL-2.0-or-later AND LGPL-2.1-only"),
        ("Public Domain", "LicenseRef-pkg-Public-Domain"),
        ("MIT (ISC)", "LicenseRef-pkg-MIT-ISC"),
        ("(MIT", "LicenseRef-pkg-MIT"),
        ("MIT AND", "LicenseRef-pkg-MIT-AND"),
        ("GPL-3.0-only WITH x", "LicenseRef-pkg-GPL-3.0-only-WITH-x"),
    ],
)
def test_a_licence_is_that_of_spdx_or_the_packages_own(tag: str, expression: str) -> None:
    found = licensing(tag, name="pkg")
    assert found.expression == expression
    own = expression.startswith("LicenseRef-")
    assert list(found.texts) == ([expression] if own else [])
    assert not own or f'"{tag}"' in found.texts[expression]


def test_a_package_without_a_licence_says_nothing() -> None:
    assert licensing(None, name="pkg").expression is None


@given(st.text())
def test_a_damaged_listing_is_no_crash(text: str) -> None:
    assert all(package.name for package in installed(text, lock=None))
