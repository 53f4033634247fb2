"""Debian, built directly from its archive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template, merge_packages, merge_repositories
from imagefactory.engine.additions import finish, needs, set_up
from imagefactory.engine.bom import DescribePackages
from imagefactory.engine.boot.step import plan_boot_test
from imagefactory.engine.customize import RunCommands, RunPrecommands, SetRootPassword, WriteFiles
from imagefactory.engine.disk.layout import DEFAULT_SIZE, Firmware
from imagefactory.engine.disk.make import MakeDisk
from imagefactory.engine.disk.prepare import PrepareBoot
from imagefactory.engine.identity import ResetIdentity
from imagefactory.engine.installer.debian import DebianInstaller, wants_installer
from imagefactory.engine.network import SetUpNetwork
from imagefactory.engine.packages.apt import ResolveApt
from imagefactory.engine.packages.apt_install import InstallBase, InstallPackages
from imagefactory.engine.packages.apt_repositories import AddRepositories, RemoveRepositories
from imagefactory.engine.packages.apt_sources import Archive, Suite
from imagefactory.engine.packages.locked import FetchPackages
from imagefactory.engine.plan import Plan
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Customization, Info, SystemTarget

_KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"

#: what a server needs to start, be reached, be administered and be upgraded
_BASE: Final = (
    "ca-certificates", "dbus", "debian-archive-keyring", "e2fsprogs",
    "grub-cloud-amd64", "init", "initramfs-tools", "iproute2", "iputils-ping", "less",
    "libpam-systemd", "nano", "netbase", "openssh-server", "procps", "systemd-resolved",
    "systemd-timesyncd", "udev", "zstd",
)  # fmt: skip
#: drivers of virtual machines only; a template that names a kernel gets that one instead
_KERNEL: Final = "linux-image-cloud-amd64"
#: what `<customize>` needs beside the base system
_ADDITIONS: Final = {
    "locale": "locales", "timezone": "tzdata", "sudo": "sudo", "firewall": "nftables",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release of Debian: a row."""

    codename: str
    more: tuple[str, ...] = ()  #: packages beside those of all releases
    parallel: bool = False  #: a test shows that dpkg alone would give the same tree


_RELEASES: Final[Mapping[str, Release]] = {
    "12": Release(codename="bookworm", more=("usr-is-merged",), parallel=True),
    "13": Release(codename="trixie", more=("systemd-repart",)),
}


class Debian:
    """Debian 12 and 13 for x86_64, from the archive at the template's `<url>`."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def info(self) -> Info:
        return info("Debian", "os", "Debian 12 and 13, built directly from packages")

    @property
    def targets(self) -> Sequence[SystemTarget]:
        return tuple(("Debian", version, "x86_64") for version in _RELEASES)

    def plan_base(self, template: Template, parameters: Parameters) -> Plan:
        release = _RELEASES[template.os.version]
        if template.additions is not None and template.additions.filesystems:
            msg = 'The element "filesystems" cannot be carried out for "Debian"'
            raise RequestError(msg, hint="Leave it out: the disk has one file system, ext4")
        archive = _archive(template, release)
        if wants_installer(parameters):
            limits = {"install": self._config.timeout, "boot": self._config.boot_timeout}
            return DebianInstaller(archive=archive, **limits).plan(template, parameters)
        firmware = Firmware(
            parameters.choice("firmware", tuple(Firmware), default=Firmware.BOTH.value)
        )
        network = parameters.boolean("network", default=True)
        names = tuple(package.name for package in template.packages)
        kernel = () if any(name.startswith("linux-image-") for name in names) else (_KERNEL,)
        base = (*_BASE, *release.more, *kernel)
        names = (*names, *needs(template.additions, _ADDITIONS))
        return (
            ResolveApt(
                system=template.os.name,
                version=template.os.version,
                arch=template.os.arch,
                archive=archive,
                base=base,
                packages=names,
                repositories=template.repositories,
                lock=parameters.text("lock"),
                epoch=parameters.integer("source_date_epoch"),
            ),
            FetchPackages(),
            InstallBase(packages=base, parallel=release.parallel),
            AddRepositories(archive=archive, name="debian", repositories=template.repositories),
            RunPrecommands(commands=template.precommands, network=network),
            InstallPackages(packages=names),
            *set_up(template.additions),
            WriteFiles(files=template.files),
            SetUpNetwork(),
            SetRootPassword(password=template.os.rootpw),
            RunCommands(commands=template.commands, network=network),
            *finish(template.additions),
            RemoveRepositories(repositories=template.repositories),
            ResetIdentity(),
            PrepareBoot(
                name=template.name,
                firmware=firmware,
                kernel_arguments=template.os.kernelparam or "",
            ),
            DescribePackages(
                description=template.description,
                extra_command=template.os.icicle_extra_command,
                enabled=parameters.boolean("generate_icicle", default=True),
            ),
            MakeDisk(
                name=template.name, size=template.disk_size or DEFAULT_SIZE, firmware=firmware
            ),
            *plan_boot_test(
                parameters, firmwares=_each(firmware), timeout=self._config.boot_timeout
            ),
        )

    def plan_customize(
        self, template: Template, parameters: Parameters, extra: Customization
    ) -> Plan:
        """The base's own plan with the cloud's content in it: a layer found in the cache is not made again."""
        whole = merge_repositories(merge_packages(template, extra.packages), extra.repositories)
        whole = replace(
            whole,
            files=(*whole.files, *extra.files),
            commands=(*whole.commands, *extra.commands),
        )
        return self.plan_base(whole, parameters)


def _archive(template: Template, release: Release) -> Archive:
    install = template.os.install
    if install.type != "url":
        msg = f'The system "Debian" cannot be installed from the ISO "{install.url}"'
        raise RequestError(msg, hint='Use <install type="url"> with the URL of a Debian archive')
    suites = (
        Suite(name=release.codename),
        Suite(name=f"{release.codename}-updates", optional=True),
        Suite(name=f"{release.codename}-security", sibling="debian-security", optional=True),
    )
    return Archive(url=install.url, suites=suites, keyring=_KEYRING, guest_keyring=_KEYRING)


def _each(firmware: Firmware) -> tuple[Literal["bios", "uefi"], ...]:
    """The kinds of machine that are to start the disk."""
    bios: tuple[Literal["bios"], ...] = ("bios",) if firmware.bios else ()
    uefi: tuple[Literal["uefi"], ...] = ("uefi",) if firmware.uefi else ()
    return (*bios, *uefi)
