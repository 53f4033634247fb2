"""Bills of material: dpkg's database, read as dpkg reads it."""

from hypothesis import given
from hypothesis import strategies as st

from imagefactory.engine.bom import DebianPackage, read_status
from imagefactory.engine.packages.deb822 import dumps

NAMES = st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,12}", fullmatch=True)
VERSIONS = st.from_regex(r"([0-9]:)?[0-9][0-9a-z.+~]{0,8}(-[0-9a-z.+~]{1,4})?", fullmatch=True)
PACKAGES = st.builds(
    DebianPackage,
    name=NAMES,
    arch=st.sampled_from(["all", "amd64", "i386"]),
    version=VERSIONS,
    selection=st.sampled_from(["install", "hold", "deinstall", "purge"]),
    state=st.sampled_from(["installed", "config-files", "unpacked"]),
)


def written(
    package: DebianPackage, description: str = "short\nlong\n.\nPackage: not a field"
) -> str:
    return dumps(
        {
            "Package": package.name,
            "Status": f"{package.selection} ok {package.state}",
            "Maintainer": "Nobody <nobody@example.org>",
            "Architecture": package.arch,
            "Version": package.version,
            "Conffiles": "\n/etc/x d41d8cd98f00b204e9800998ecf8427e",
            "Description": description,
        }
    )


@given(st.lists(PACKAGES, unique_by=lambda one: (one.name, one.arch)))
def test_every_package_is_found_once_and_in_order(packages: list[DebianPackage]) -> None:
    found = read_status("".join(map(written, packages)))
    assert sorted(found) == sorted(packages)
    assert [(one.name, one.arch) for one in found] == sorted(
        (one.name, one.arch) for one in packages
    )


@given(st.text())
def test_a_damaged_database_is_no_crash(text: str) -> None:
    assert all(package.name is not None for package in read_status(text))


def test_an_entry_without_a_state_is_no_package() -> None:
    assert read_status("Package: x\nVersion: 1\n\nStatus: install ok installed\n") == ()
