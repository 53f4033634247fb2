"""The repositories of the RPM family lie where their distributions put them, and are written as dnf reads them."""

import configparser
from pathlib import Path

import pytest

from imagefactory.core.errors import TemplateError, VerificationError
from imagefactory.core.template import Repository
from imagefactory.engine.packages.dnf_repositories import repository_file
from imagefactory.engine.packages.dnf_sources import (
    Distribution,
    Part,
    distribution_sources,
    template_sources,
)

FEDORA = "http://mirror.example.org/fedora/releases/42/Everything/x86_64/os/"
PARTS = (
    Part(name="fedora"),
    Part(name="updates", path="../../../../../updates/42/Everything/x86_64", optional=True),
)


def test_updates_lie_beside_the_release() -> None:
    made = Distribution(url=FEDORA, parts=PARTS, keys="/nowhere")
    assert [source.url for source in made.sources] == [
        "http://mirror.example.org/fedora/releases/42/Everything/x86_64/os",
        "http://mirror.example.org/fedora/updates/42/Everything/x86_64",
    ]


def test_the_operators_keys_stand_in_for_the_distributions(tmp_path: Path) -> None:
    made = Distribution(url=FEDORA, parts=PARTS, keys="/nowhere")
    with pytest.raises(VerificationError, match="/nowhere") as caught:
        distribution_sources(made, {})
    assert "keyrings" in (caught.value.hint or "")
    keys = tmp_path / "keys"
    keys.touch()
    sources = distribution_sources(made, {"http://mirror.example.org/fedora/releases": str(keys)})
    assert {source.keys for source in sources} == {str(keys)}


def test_a_repository_that_is_no_url_is_the_templates_mistake() -> None:
    with pytest.raises(TemplateError, match='"mine"'):
        template_sources([Repository(name="mine", url="deb http://x.example.org/ ./")], {})


def test_a_repository_is_a_file_that_dnf_reads() -> None:
    mine = Repository(name="my own", url="http://x.example.org/r", signed=True, sslverify=True)
    parser = configparser.ConfigParser()
    parser.read_string(repository_file(mine, keys="/etc/pki/rpm-gpg/my_own"))
    section = dict(parser["my_own"])
    assert section["baseurl"] == "http://x.example.org/r"
    assert (section["gpgcheck"], section["sslverify"], section["enabled"]) == ("1", "1", "1")
    assert section["gpgkey"] == "file:///etc/pki/rpm-gpg/my_own"
