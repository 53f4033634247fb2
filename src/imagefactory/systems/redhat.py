"""Fedora, Red Hat Enterprise Linux, and the systems made from its sources, built directly by dnf."""

from collections.abc import Mapping, Sequence
from typing import Final

from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template
from imagefactory.engine.disk.wanted import filesystems
from imagefactory.engine.installer.anaconda import AnacondaInstaller
from imagefactory.engine.packages.dnf_sources import Part
from imagefactory.engine.plan import Plan
from imagefactory.plugins.apt_family import customized
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Customization, Info, SystemTarget
from imagefactory.plugins.rpm_family import SYSIMAGE, VAR_LIB, Family, Release

#: what a server needs to start, be reached, be administered and be upgraded
_BASE: Final = (
    "NetworkManager", "bash", "ca-certificates", "cloud-utils-growpart", "coreutils", "dnf", "dracut",
    "dracut-config-generic", "e2fsprogs", "filesystem", "findutils", "glibc-minimal-langpack", "grub2-efi-x64",
    "grub2-pc", "grub2-pc-modules", "grub2-tools", "iproute", "iputils", "less", "libselinux-utils",
    "openssh-clients", "openssh-server", "policycoreutils", "procps-ng", "rootfiles", "rpm",
    "selinux-policy-targeted", "shadow-utils", "shim-x64", "sudo", "system-release", "systemd",
    "systemd-udev", "util-linux", "vim-minimal",
)  # fmt: skip
_FAMILY: Final = Family(
    manager="dnf",
    base=_BASE,
    # Drivers of machines of all kinds.
    kernel="kernel-core",
    additions={
        "locale": "glibc-all-langpacks",
        "timezone": "tzdata",
        "sudo": "sudo",
        "firewall": "nftables",
    },
)


def _fedora(number: str) -> Release:
    updates = f"../../../../../updates/{number}/Everything/x86_64"
    return Release(
        number=number,
        parts=(Part(name="fedora"), Part(name="updates", path=updates, optional=True)),
        keys=f"fedora/RPM-GPG-KEY-fedora-{number}-primary",
        platform=f"platform:f{number}",
    )


def _enterprise(number: int, *, keys: str, appstream: str) -> Mapping[str | None, Release]:
    """A row for all minor releases, which the URL tells apart."""
    row = Release(
        number=str(number),
        parts=(Part(name="baseos"), Part(name="appstream", path=appstream, optional=True)),
        keys=keys,
        platform=f"platform:el{number}",
        database=SYSIMAGE if number >= 10 else VAR_LIB,
    )
    return {None: row}


#: from a `BaseOS/x86_64/os`, from Red Hat's own `baseos/os`, and from Oracle's `baseos/latest/x86_64`
_BESIDE: Final = "../../../AppStream/x86_64/os"
_BESIDE_AT_RED_HAT: Final = "../../appstream/os"
_BESIDE_AT_ORACLE: Final = "../../../appstream/x86_64"

#: name -> version -> row; None is any version, which counts the minor releases
_RELEASES: Final[Mapping[str, Mapping[str | None, Release]]] = {
    "Fedora": {number: _fedora(number) for number in ("40", "41", "42", "43", "44")},
    "RHEL-9": _enterprise(
        9, keys="redhat/RPM-GPG-KEY-redhat9-release", appstream=_BESIDE_AT_RED_HAT
    ),
    "RHEL-10": _enterprise(
        10, keys="redhat/RPM-GPG-KEY-redhat10-release", appstream=_BESIDE_AT_RED_HAT
    ),
    "CentOS-9": _enterprise(9, keys="centos/RPM-GPG-KEY-CentOS-Official", appstream=_BESIDE),
    "CentOS-10": _enterprise(
        10, keys="centos/RPM-GPG-KEY-CentOS-Official-SHA256", appstream=_BESIDE
    ),
    "Rocky-9": _enterprise(9, keys="rocky/RPM-GPG-KEY-Rocky-9", appstream=_BESIDE),
    "Rocky-10": _enterprise(10, keys="rocky/RPM-GPG-KEY-Rocky-10", appstream=_BESIDE),
    "AlmaLinux-9": _enterprise(9, keys="alma/RPM-GPG-KEY-AlmaLinux-9", appstream=_BESIDE),
    "AlmaLinux-10": _enterprise(10, keys="alma/RPM-GPG-KEY-AlmaLinux-10", appstream=_BESIDE),
    "OL-9": _enterprise(9, keys="oraclelinux/RPM-GPG-KEY-oracle-ol9", appstream=_BESIDE_AT_ORACLE),
    "OL-10": _enterprise(
        10, keys="oraclelinux/RPM-GPG-KEY-oracle-ol10", appstream=_BESIDE_AT_ORACLE
    ),
}

#: names that only their own installer makes: their rpm cannot read a database that dnf's writes now
_INSTALLED: Final[Mapping[str, int]] = {
    **{f"{name}-{number}": number for name in ("RHEL", "CentOS") for number in (5, 6, 7, 8)},
    **{f"{name}-{number}": number for name in ("ScientificLinux", "OL") for number in (5, 6, 7)},
    **{f"{name}-8": 8 for name in ("Rocky", "AlmaLinux", "OL")},
}


class RedHat:
    """The RPM family for x86_64, from the repositories around the template's `<url>`."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def info(self) -> Info:
        return info(
            "RedHat",
            "os",
            "Fedora, RHEL, CentOS Stream, Rocky, AlmaLinux and Oracle Linux: from packages, and older "
            "ones by their installer",
        )

    @property
    def targets(self) -> Sequence[SystemTarget]:
        rows = ((name, version) for name, known in _RELEASES.items() for version in known)
        exact = ((name, version, "x86_64") for name, version in rows if version is not None)
        any_minor = (name for name, known in _RELEASES.items() if None in known)
        return (*exact, *((name, None, None) for name in (*any_minor, *_INSTALLED)))

    def plan_base(self, template: Template, parameters: Parameters) -> Plan:
        name = template.os.name
        _check(name, template.os.version, template.os.arch)
        if template.os.install.type != "url":
            url = template.os.install.url
            msg = f'The system "{name}" cannot be installed from the ISO "{url}"'
            raise RequestError(msg, hint='Use <install type="url"> with the URL of its repository')
        if name in _INSTALLED:
            limits = {"install": self._config.timeout, "boot": self._config.boot_timeout}
            return AnacondaInstaller(dialect=_INSTALLED[name], **limits).plan(template, parameters)
        disks = filesystems(template.additions, parameters)
        if name != "Fedora" and "btrfs" in disks.kinds:
            msg = f'The kernel of "{name}" has no "btrfs"'
            raise RequestError(msg, hint='Use another type under <filesystems>, such as "ext4"')
        rows = _RELEASES[name]
        release = rows.get(template.os.version) or rows[None]
        return _FAMILY.plan_base(template, parameters, self._config, release=release)

    def plan_customize(
        self, template: Template, parameters: Parameters, extra: Customization
    ) -> Plan:
        return self.plan_base(customized(template, extra), parameters)


def _check(name: str, version: str, arch: str) -> None:
    if name != "Fedora" and not version.isdecimal():
        msg = f'Unsupported "{name}" update "{version}"'
        raise RequestError(msg, hint="The version is the number of the minor release")
    if arch != "x86_64":
        msg = f'The system "{name}" is not built for "{arch}"'
        raise RequestError(msg, hint="It is built for x86_64")
