"""openSUSE, built directly by zypper."""

from collections.abc import Mapping, Sequence
from typing import Final

from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template
from imagefactory.engine.packages.dnf_sources import Part
from imagefactory.engine.plan import Plan
from imagefactory.plugins.apt_family import customized
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Customization, Info, SystemTarget
from imagefactory.plugins.rpm_family import Family, Release

_NAME: Final = "openSUSE"
_FAMILY: Final = Family(
    manager="zypper",
    base=(
        "NetworkManager", "aaa_base", "bash", "ca-certificates-mozilla", "coreutils", "dracut", "e2fsprogs",
        "filesystem", "findutils", "glibc-locale-base", "growpart", "grub2", "grub2-i386-pc",
        "grub2-x86_64-efi", "iproute2", "iputils", "less", "openSUSE-release", "openssh", "procps", "rpm",
        "shadow", "shim", "sudo", "systemd", "udev", "util-linux", "vim-small", "zypper",
    ),
    # Drivers of machines of all kinds.
    kernel="kernel-default",
    additions={
        "locale": "glibc-locale", "timezone": "timezone",
        "sudo": "sudo", "firewall": "nftables",
    },
    signed_index=True,
    names_own=True,
)  # fmt: skip


def _leap_15(number: str) -> Release:
    """Updates lie in a tree of their own: openSUSE's, those of its enterprise base, and backports."""
    updates = f"../../../../../update/leap/{number}"
    names = ("oss", "sle", "backports")
    beside = (Part(name=f"update-{one}", path=f"{updates}/{one}", optional=True) for one in names)
    return Release(
        number=number,
        parts=(Part(name="oss"), *beside),
        keys="opensuse/RPM-GPG-KEY-openSUSE-2022",
    )


#: version -> row; the later ones have their updates in the same repository
_RELEASES: Final[Mapping[str, Release]] = {
    **{number: _leap_15(number) for number in ("15.5", "15.6")},
    "16.0": Release(
        number="16.0", parts=(Part(name="oss"),), keys="opensuse/RPM-GPG-KEY-openSUSE-2022"
    ),
    "Tumbleweed": Release(
        number="", parts=(Part(name="oss"),), keys="opensuse/RPM-GPG-KEY-openSUSE"
    ),
}


class Suse:
    """openSUSE Leap and Tumbleweed for x86_64, from the repository at the template's `<url>`."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def info(self) -> Info:
        return info(
            "Suse", "os", "openSUSE Leap 15 and 16 and Tumbleweed, built directly by zypper"
        )

    @property
    def targets(self) -> Sequence[SystemTarget]:
        return tuple((_NAME, version, "x86_64") for version in _RELEASES)

    def plan_base(self, template: Template, parameters: Parameters) -> Plan:
        if template.os.install.type != "url":
            url = template.os.install.url
            msg = f'The system "{_NAME}" cannot be installed from the ISO "{url}"'
            raise RequestError(msg, hint='Use <install type="url"> with the URL of its repository')
        release = _RELEASES[template.os.version]
        return _FAMILY.plan_base(template, parameters, self._config, release=release)

    def plan_customize(
        self, template: Template, parameters: Parameters, extra: Customization
    ) -> Plan:
        return self.plan_base(customized(template, extra), parameters)
