"""What dpkg says when it fails becomes a sentence."""

import pytest

from fakes.build import Told
from imagefactory.core.errors import BuildError, CommandFailed, PackageError, SpaceError
from imagefactory.engine.packages.apt_guest import Counting, explained


def failure(tail: str) -> BuildError:
    return explained(CommandFailed('"sh" failed with exit status 100', exit_status=100, tail=tail))


def test_a_failing_script_names_its_package() -> None:
    error = failure(
        "Setting up sulky (1.0) ...\n"
        "dpkg: error processing package sulky (--configure):\n"
        " installed sulky package post-installation script subprocess returned error exit status 3\n"
        "Errors were encountered while processing:\n sulky\n"
        "E: Sub-process /usr/bin/dpkg returned an error code (1)"
    )
    assert isinstance(error, PackageError)
    assert str(error) == (
        'The package "sulky" failed: installed sulky package post-installation script '
        "subprocess returned error exit status 3"
    )


@pytest.mark.parametrize(
    "path",
    [
        "/run/imagefactory/./pool/clash_1%3a2_all.deb",
        "/tmp/apt-dpkg-install-x/07-clash_1_all.deb",
    ],
)
def test_a_file_that_cannot_be_unpacked_names_its_package(path: str) -> None:
    error = failure(
        f"dpkg: error processing archive {path} (--unpack):\n"
        " trying to overwrite '/bin/x', which is also in package y 1\n"
    )
    assert str(error).startswith('The package "clash" failed: trying to overwrite')


def test_a_full_disk_is_told_as_such() -> None:
    error = failure(
        "dpkg: error processing archive x_1_all.deb (--unpack):\n"
        " cannot copy extracted data: failed to write (No space left on device)\n"
    )
    assert isinstance(error, SpaceError)


def test_any_other_failure_stays_what_it_is() -> None:
    assert isinstance(failure("something else"), CommandFailed)


def test_progress_follows_what_dpkg_says() -> None:
    told, lines = Told(), list[str]()
    log = Counting(lines.append, told, whole=4, percents=range(10, 50))
    for line in (
        "Selecting previously unselected package a.",
        "Unpacking a (1) ...",
        "Unpacking b:amd64 (1) over (0) ...",
        "Setting up a (1) ...",
        "Setting up b:amd64 (1) ...",
        "Setting up c (1) ...",
    ):
        log(line)
    assert told.percents == [20, 30, 40, 50, 50]
    assert len(lines) == 6
