"""What dpkg has installed, with what its lists, copyright files and the lock say."""

from typing import Final

from imagefactory.core.bill import Supplier
from imagefactory.core.lock import Lock, LockedPackage
from imagefactory.engine.packages.dpkg_installed import installed

STATUS: Final = """\
Package: libc6
Status: install ok installed
Maintainer: GNU Libc Maintainers <debian-glibc@lists.example.org>
Architecture: amd64
Source: glibc (2.36-9)
Version: 2.36-9+b1
Homepage: https://www.example.org/libc
Description: GNU C Library
 Long.

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: adduser
Status: hold ok installed
Maintainer: Jo Doe <jo@example.org>
Architecture: all
Version: 3.134
Homepage: <not an address>
"""
LOCK: Final = Lock(
    system="Debian", version="12", arch="x86_64", epoch=0,
    packages=(
        LockedPackage(
            name="libc6", version="2.36-9+b1", arch="amd64", url="http://mirror.example.org/libc6.deb",
            size=1, sha256="a" * 64, origin="bookworm",
        ),
    ),
)  # fmt: skip
LISTS: Final = {
    "/var/lib/dpkg/info/libc6:amd64.list": "/.\n/lib\n/lib/libc.so.6",
    "/var/lib/dpkg/info/adduser.list": "/.\n/usr/sbin/adduser\n",
}


def test_what_is_installed_is_told_in_full() -> None:
    adduser, libc = installed(STATUS, lists=LISTS, copyrights={}, lock=LOCK)
    assert (libc.name, libc.version, libc.source, libc.source_version) == (
        *("libc6", "2.36-9+b1", "glibc", "2.36-9"),
    )
    assert libc.files == ("/lib", "/lib/libc.so.6")
    assert (libc.url, libc.sha256) == ("http://mirror.example.org/libc6.deb", "a" * 64)
    assert libc.supplier == Supplier(
        name="GNU Libc Maintainers", email="debian-glibc@lists.example.org"
    )
    assert (libc.homepage, libc.summary) == ("https://www.example.org/libc", "GNU C Library")
    assert adduser.supplier == Supplier(name="Jo Doe", email="jo@example.org", person=True)
    assert (adduser.source, adduser.source_version) == ("adduser", None)
    assert (adduser.url, adduser.homepage, adduser.licensing.expression) == (None, None, None)
    assert adduser.files == ("/usr/sbin/adduser",)


def test_copyright_files_are_read_for_their_packages() -> None:
    text = "Format: x\n\nFiles: *\nLicense: GPL-2+\n"
    adduser, libc = installed(
        STATUS, lists={}, copyrights={"/usr/share/doc/adduser/copyright": text}, lock=None
    )
    assert adduser.licensing.expression == "GPL-2.0-or-later"
    assert libc.licensing.expression is None
