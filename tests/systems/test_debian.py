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
from imagefactory.core.template import Install, Package, Template, parse
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


def test_an_iso_is_refused_with_what_to_do(debian: Debian) -> None:
    iso = Install(type="iso", url="http://mirror.example.org/debian.iso")
    wanted = replace(TestDebian.template, os=replace(TestDebian.template.os, install=iso))
    with pytest.raises(RequestError, match=r"debian\.iso") as caught:
        debian.plan_base(wanted, Parameters())
    assert caught.value.hint is not None


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
