"""What a target says to an image for a processor that its machines do not have."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from imagefactory.builds.planner import Planner
from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template, parse
from imagefactory.plugins.registry import load

EXAMPLE: Final = Path(__file__).parent.parent.parent / "examples" / "debian.tdl"


@pytest.fixture
def template() -> Template:
    example = parse(EXAMPLE.read_bytes())
    return replace(example, os=replace(example.os, arch="aarch64"))


@pytest.fixture
def planner() -> Planner:
    return Planner(registry=load(Config()))


@pytest.mark.parametrize("target", ["azure", "vsphere", "rhevm", "hyperv", "ova", "libvirt"])
def test_an_image_for_arm_is_refused_by_name(
    planner: Planner, template: Template, target: str
) -> None:
    with pytest.raises(RequestError, match=f'"{target}" takes no image for "aarch64"'):
        planner.target(target, template, Parameters())


@pytest.mark.parametrize("target", ["ec2", "gce", "openstack-kvm", "docker", "local"])
def test_an_image_for_arm_is_made(planner: Planner, template: Template, target: str) -> None:
    assert planner.target(target, template, Parameters())


def test_a_legacy_bios_is_refused_on_arm(planner: Planner, template: Template) -> None:
    with pytest.raises(RequestError, match="ec2_boot_mode"):
        planner.target("ec2", template, Parameters({"ec2_boot_mode": "legacy-bios"}))


def test_a_disk_for_arm_is_not_started_by_a_bios(planner: Planner, template: Template) -> None:
    with pytest.raises(RequestError, match='machines for "aarch64" have no BIOS'):
        planner.base(template, Parameters({"firmware": "bios"}))
