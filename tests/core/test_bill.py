"""Bills of materials hold to their formats, and name packages as others do."""

import json
from dataclasses import replace
from typing import Final

import pytest
from packageurl import PackageURL

from fakes.bills import check_cyclonedx, check_spdx
from imagefactory.core import cyclonedx, spdx
from imagefactory.core.bill import Bill, Digests, Installed, Licensing, Supplier

CPP: Final = Installed(
    family="deb",
    name="libstdc++6",
    arch="amd64",
    version="12.2.0-14+deb12u1",
    source="gcc-12",
    source_version="12.2.0-14",
    supplier=Supplier(name="GCC Maintainers", email="gcc@lists.example.org"),
    homepage="https://gcc.example.org/",
    summary="GNU Standard C++ Library v3",
    licensing=Licensing(
        expression="GPL-3.0-or-later AND LicenseRef-gcc-12-own",
        texts={"LicenseRef-gcc-12-own": "Do."},
    ),
    files=("/lib", "/lib/libstdc++.so.6", "/usr/share/gone"),
    url="http://mirror.example.org/pool/libstdc++6_12.2.0-14_amd64.deb",
    sha256="a" * 64,
)
BASH: Final = Installed(
    family="rpm", name="bash", arch="x86_64", version="5.2.26-3.fc40", epoch="1",
    source="bash", source_version="5.2.26-3.fc40", supplier=Supplier(name="Jo", person=True),
)  # fmt: skip
BILL: Final = Bill(
    distribution="debian",
    release="12",
    name="Debian 12 x86_64",
    key="0" * 64,
    epoch=1_700_000_000,
    tool="2.0",
    packages=(BASH, CPP),
    files={
        "/usr/lib/libstdc++.so.6": Digests(sha1="1" * 40, sha256="2" * 64),
        "/etc/with space": Digests(sha1="3" * 40, sha256="4" * 64),
    },
)


@pytest.mark.parametrize("package", [CPP, BASH])
def test_package_urls_are_those_of_the_specification(package: Installed) -> None:
    url = BILL.package_url(package)
    read = PackageURL.from_string(url)
    assert (read.type, read.namespace, read.name, read.version) == (
        *(package.family, "debian", package.name, package.version),
    )
    assert read.to_string() == url


def test_package_urls_name_source_and_system() -> None:
    assert BILL.package_url(CPP) == (
        "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1"
        "?arch=amd64&distro=debian-12&upstream=gcc-12%4012.2.0-14"
    )
    assert "&epoch=1&" in BILL.package_url(BASH)


def test_spdx_has_packages_and_files() -> None:
    document = check_spdx(spdx.render(BILL))
    system, bash, cpp = document["packages"]
    files = {file["SPDXID"]: file["fileName"] for file in document["files"]}
    assert [files[one] for one in cpp["hasFiles"]] == ["./usr/lib/libstdc++.so.6"]
    assert [files[one] for one in system["hasFiles"]] == ["./etc/with space"]
    assert not bash["filesAnalyzed"]
    assert (bash["licenseDeclared"], bash["versionInfo"]) == ("NOASSERTION", "1:5.2.26-3.fc40")
    assert cpp["checksums"] == [{"algorithm": "SHA256", "checksumValue": "a" * 64}]
    assert cpp["supplier"] == "Organization: GCC Maintainers (gcc@lists.example.org)"
    assert document["creationInfo"]["created"] == "2023-11-14T22:13:20Z"


def test_cyclonedx_has_packages() -> None:
    document = check_cyclonedx(cyclonedx.render(BILL))
    bash, cpp = document["components"]
    assert "licenses" not in bash
    assert cpp["licenses"][0]["expression"] == "GPL-3.0-or-later AND LicenseRef-gcc-12-own"
    assert cpp["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert document["dependencies"][0]["dependsOn"] == [bash["bom-ref"], cpp["bom-ref"]]


def test_another_content_is_another_document() -> None:
    changed = {**BILL.files, "/etc/with space": Digests(sha1="3" * 40, sha256="5" * 64)}
    assert spdx.render(BILL) == spdx.render(replace(BILL))
    names = {
        json.loads(spdx.render(bill))["documentNamespace"]
        for bill in (BILL, replace(BILL, files=changed), replace(BILL, key="1" * 64))
    }
    assert len(names) == 3


def test_an_empty_system_is_a_document_too() -> None:
    empty = replace(BILL, packages=(), files={})
    check_spdx(spdx.render(empty))
    check_cyclonedx(cyclonedx.render(empty))
