"""What Debian builds, as plans that a reviewer can read."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from contract import SystemContract, made_with, template
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Extra, Install, Package, Template, parse
from imagefactory.engine.fetch_disc import FetchDisc
from imagefactory.engine.packages.apt import ResolveApt
from imagefactory.engine.plan import show
from imagefactory.systems.debian import Debian

GOLDEN: Final = Path(__file__).parent.parent / "golden" / "plans"
EXAMPLE: Final = Path(__file__).parent.parent.parent / "examples" / "debian.tdl"


class TestDebian(SystemContract):
    template: ClassVar[Template] = template(name="Debian", version="12")
    wrong_parameters: ClassVar = {"boot_test": "perhaps", "firmware": "openboot", "network": []}

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return Debian(made_with(tmp_path))


@pytest.fixture
def debian(tmp_path: Path) -> Debian:
    return Debian(made_with(tmp_path))


def test_a_template_that_names_a_kernel_gets_that_one(debian: Debian) -> None:
    wanted = replace(TestDebian.template, packages=(Package(name="linux-image-amd64"),))
    assert "linux-image-cloud-amd64" in show(debian.plan_base(TestDebian.template, Parameters()))
    assert "linux-image-cloud-amd64" not in show(debian.plan_base(wanted, Parameters()))


def test_the_boot_test_can_be_left_out(debian: Debian) -> None:
    assert "BootTest" in show(debian.plan_base(TestDebian.template, Parameters()))
    left_out = debian.plan_base(TestDebian.template, Parameters({"boot_test": "false"}))
    assert "BootTest" not in show(left_out)


ISO: Final = Install(
    type="iso",
    url="http://mirror.example.org/debian-12.iso",
    checksum_type="sha256",
    checksum_url="http://mirror.example.org/SHA256SUMS",
)


def installed_from(install: Install) -> Template:
    return replace(TestDebian.template, os=replace(TestDebian.template.os, install=install))


def test_a_disc_is_fetched_and_its_checksum_stands_for_a_signature(debian: Debian) -> None:
    fetch, resolve, *_ = debian.plan_base(installed_from(ISO), Parameters())
    assert fetch == FetchDisc(install=ISO)
    assert isinstance(resolve, ResolveApt)
    [source] = resolve.archive.sources
    assert source.release == "http://mirror.example.org/debian-12.iso#/dists/bookworm"
    assert source.keyring is None
    bare = Install(type="iso", url=ISO.url)
    resolve = debian.plan_base(installed_from(bare), Parameters())[1]
    assert isinstance(resolve, ResolveApt)
    assert resolve.archive.keyring == "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert "#" in resolve.archive.stanzas()
    assert "URIs" not in resolve.archive.stanzas()


def test_what_a_disc_cannot_have_is_refused(debian: Debian) -> None:
    extra = Extra(kind="file", source="http://mirror.example.org/a", destination="a")
    with pytest.raises(RequestError, match='"extras" is not carried out'):
        debian.plan_base(installed_from(replace(ISO, extras=(extra,))), Parameters())
    with pytest.raises(RequestError, match="installer cannot take its packages from the ISO"):
        debian.plan_base(installed_from(ISO), Parameters({"installer": True}))


def test_a_password_changes_the_plan_and_is_not_in_it(debian: Debian) -> None:
    system = TestDebian.template.os
    one, two = (
        debian.plan_base(
            replace(TestDebian.template, os=replace(system, rootpw=Secret(word))), Parameters()
        )
        for word in ("hunter2", "hunter3")
    )
    assert one != two
    assert [step.key for step in one] != [step.key for step in two]
    assert show(one) == show(two)


def test_given_answers_run_the_installer(debian: Debian) -> None:
    plan = debian.plan_base(
        TestDebian.template, Parameters({"install_script": "d-i a/b string secret"})
    )
    assert [type(step).__name__ for step in plan] == [
        "FetchDebianInstaller", "GiveAnswers", "RunInstaller", "DescribeDisk", "BootTest",
    ]  # fmt: skip
    assert "secret" not in show(plan)


def test_the_plan_of_an_installation_is_as_reviewed(debian: Debian) -> None:
    """`UPDATE_GOLDEN=1` writes it anew; the commit says why it changed."""
    text = show(debian.plan_base(TestDebian.template, Parameters({"installer": True})))
    golden = GOLDEN / "debian-12-installer.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def test_an_installer_refuses_what_nobody_would_carry_out(debian: Debian) -> None:
    wanted = replace(TestDebian.template, packages=(Package(name="nginx"),))
    debian.plan_base(wanted, Parameters({"installer": True}))
    with pytest.raises(RequestError, match='"packages" of the template is not carried out'):
        debian.plan_base(wanted, Parameters({"install_script": "d-i a/b string c"}))
    example = parse(EXAMPLE.read_bytes())
    with pytest.raises(RequestError, match='"files" of the template is not carried out'):
        debian.plan_base(example, Parameters({"installer": True}))


def test_only_installers_that_know_the_answers_are_run(debian: Debian) -> None:
    sid = replace(TestDebian.template, os=replace(TestDebian.template.os, version="sid"))
    with pytest.raises(RequestError, match='installer of Debian "sid" is not served'):
        debian.plan_base(sid, Parameters({"installer": True}))
