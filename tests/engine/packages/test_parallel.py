"""Which packages come first, and what dpkg's database says about packages that it did not unpack."""

import re

from imagefactory.engine.packages import dpkg_database as dpkg
from imagefactory.engine.packages.deb import ControlFile
from imagefactory.engine.packages.dpkg_database import Unpacked
from imagefactory.engine.packages.parallel import in_order, renaming, stages


def package(name: str, *lines: str, **members: str) -> Unpacked:
    control = "\n".join([f"Package: {name}", "Version: 1", "Architecture: amd64", *lines])
    texts = {"control": control + "\n", "md5sums": "", **members}
    files = {
        key: ControlFile(data=text.encode(), mode=0o644, time=0) for key, text in texts.items()
    }
    return Unpacked.of(files)


def names(packages: list[Unpacked]) -> list[str]:
    return [package.name for package in packages]


def test_what_others_need_before_they_are_unpacked_comes_first() -> None:
    packages = [
        package("server", "Pre-Depends: helper (>= 1)", "Depends: library"),
        package("helper", "Depends: deep"),
        package("deep"),
        package("library"),
        package("shell", "Essential: yes"),
    ]
    first, early, rest = stages(packages)
    assert names(first) == ["shell"]
    assert names(early) == ["helper", "deep"]
    assert names(rest) == ["server", "library"]


def test_scripts_run_after_those_of_what_their_packages_pre_depend_on() -> None:
    packages = [
        package("c", "Pre-Depends: b"),
        package("b", "Pre-Depends: z"),
        package("z"),
        package("base-passwd"),
    ]
    assert names(in_order(packages)) == ["base-passwd", "z", "b", "c"]


def test_a_package_that_only_dpkg_can_unpack_is_told() -> None:
    assert package("x", conffiles="/etc/x\n", triggers="# none\ninterest /usr/x\n").plain
    assert not package("x", conffiles="remove-on-upgrade /etc/x\n").plain
    assert not package("x", isinstallable="#!/bin/sh\n").plain
    assert not package("x", triggers="interest-someday y\n").plain


def test_the_list_names_paths_as_dpkg_does() -> None:
    assert dpkg.listing("./\n./etc/\n./etc/x\n") == "/.\n/etc\n/etc/x\n"


def test_the_status_has_the_digests_of_configuration_files() -> None:
    told = dpkg.status(package("x", conffiles="/etc/x\n"), {"/etc/x": "d41d8cd9"})
    assert "Status: install ok unpacked\nConffiles: \n /etc/x d41d8cd9\n" in told


def test_triggers_are_noted_by_who_waits_and_pulled_by_new_files() -> None:
    waiting = package("w", "Multi-Arch: same", triggers="interest-noawait /usr/x\ninterest name\n")
    assert dpkg.interests([waiting]) == {"File": "/usr/x w:amd64/noawait\n", "name": "w:amd64\n"}
    assert dpkg.pulled([waiting], {"/usr", "/usr/x/y"}) == "/usr/x -\n"
    assert dpkg.pulled([waiting], {"/usr", "/usr/xy"}) == ""


def test_what_another_package_has_diverted_is_renamed() -> None:
    moved = dpkg.diverted("/bin/sh\n/bin/sh.distrib\ndash\n")
    assert renaming(package("dash"), moved) == "s,^$,,"
    rule = renaming(package("other"), moved)
    match = re.fullmatch(r"s,(?P<pattern>.*),(?P<replacement>.*),S", rule)
    assert match is not None
    assert re.sub(match["pattern"], match["replacement"], "./bin/sh") == "./bin/sh.distrib"
