"""What the releases of the RPM family are built by."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from contract import SystemContract, made_with, template
from imagefactory.core.additions import Additions, Filesystem
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Install, Package, Template
from imagefactory.engine.plan import show
from imagefactory.systems.redhat import RedHat


class TestRedHat(SystemContract):
    template: ClassVar[Template] = template(name="Fedora", version="42")
    wrong_parameters: ClassVar = {"boot_test": "perhaps", "firmware": "openboot", "network": []}

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return RedHat(made_with(tmp_path))


def test_a_template_that_names_a_kernel_gets_that_one(tmp_path: Path) -> None:
    plugin = RedHat(made_with(tmp_path))
    wanted = replace(TestRedHat.template, packages=(Package(name="kernel-rt"),))
    assert "'kernel-core'" in show(plugin.plan_base(TestRedHat.template, Parameters()))
    assert "'kernel-core'" not in show(plugin.plan_base(wanted, Parameters()))


@pytest.mark.parametrize(("name", "version"), [("Fedora", "42"), ("RHEL-9", "4")])
def test_a_disk_is_as_the_kernel_can_read_it(name: str, version: str, tmp_path: Path) -> None:
    plugin = RedHat(made_with(tmp_path))
    wanted = Additions(filesystems=(Filesystem(mount="/home", type="btrfs", size=1 << 30),))
    system = replace(TestRedHat.template.os, name=name, version=version)
    template = replace(TestRedHat.template, os=system, additions=wanted)
    if name == "Fedora":
        shown = show(plugin.plan_base(template, Parameters()))
        assert "'btrfs-progs'" in shown
        assert "type='btrfs'" in shown
        return
    with pytest.raises(RequestError, match='The kernel of "RHEL-9" has no "btrfs"'):
        plugin.plan_base(template, Parameters())


def test_old_releases_are_made_by_their_installer(tmp_path: Path) -> None:
    system = replace(TestRedHat.template.os, name="CentOS-7", version="9")
    plan = RedHat(made_with(tmp_path)).plan_base(
        replace(TestRedHat.template, os=system), Parameters()
    )
    assert "RunInstaller" in show(plan)
    assert "ResolveRpm" not in show(plan)


def test_an_iso_is_refused_with_what_to_do(tmp_path: Path) -> None:
    iso = Install(type="iso", url="http://mirror.example.org/fedora.iso")
    wanted = replace(TestRedHat.template, os=replace(TestRedHat.template.os, install=iso))
    with pytest.raises(RequestError, match=r"fedora\.iso") as caught:
        RedHat(made_with(tmp_path)).plan_base(wanted, Parameters())
    assert caught.value.hint is not None
