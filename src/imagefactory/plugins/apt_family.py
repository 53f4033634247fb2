"""How a system of the Debian family is built directly from its archive, once for all distributions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from imagefactory.core.additions import FilesystemType
from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Install, Template, merge_packages, merge_repositories
from imagefactory.engine.additions import finish, needs, set_up
from imagefactory.engine.bom import DescribePackages
from imagefactory.engine.boot.step import plan_boot_test
from imagefactory.engine.customize import RunCommands, RunPrecommands, SetRootPassword, WriteFiles
from imagefactory.engine.disk.layout import DEFAULT_SIZE, Firmware
from imagefactory.engine.disk.make import MakeDisk
from imagefactory.engine.disk.platforms import platform_of
from imagefactory.engine.disk.prepare import PrepareBoot
from imagefactory.engine.disk.wanted import Filesystems, filesystems
from imagefactory.engine.fetch_disc import FetchDisc
from imagefactory.engine.identity import ResetIdentity
from imagefactory.engine.network import SetUpNetwork
from imagefactory.engine.packages.apt import ResolveApt
from imagefactory.engine.packages.apt_install import InstallBase, InstallPackages
from imagefactory.engine.packages.apt_repositories import AddRepositories, RemoveRepositories
from imagefactory.engine.packages.apt_sources import Archive, Suite
from imagefactory.engine.packages.locked import FetchPackages
from imagefactory.engine.plan import Plan
from imagefactory.plugins.contract import Customization, SystemTarget

#: what a server needs to start, be reached, be administered and be upgraded, in every distribution
SERVER: Final = (
    "ca-certificates", "dbus", "e2fsprogs", "init", "initramfs-tools", "iproute2", "iputils-ping",
    "less", "libpam-systemd", "nano", "netbase", "openssh-server", "procps", "systemd-timesyncd",
    "udev", "zstd",
)  # fmt: skip
#: what `<customize>` needs beside the base system
_ADDITIONS: Final = {
    "locale": "locales", "timezone": "tzdata", "sudo": "sudo", "firewall": "nftables",
}  # fmt: skip
_FILESYSTEM_TOOLS: Final[Mapping[FilesystemType, str]] = {"btrfs": "btrfs-progs", "xfs": "xfsprogs"}


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release of a distribution: a row."""

    suites: tuple[Suite, ...]
    more: tuple[str, ...] = ()  #: packages beside those of all releases
    parallel: bool = False  #: a test shows that dpkg alone would give the same tree


@dataclass(frozen=True, kw_only=True)
class Port:
    """A distribution on one kind of processor."""

    loader: tuple[str, ...]  #: packages of its boot loader
    kernel: str  #: a template that names a kernel gets that one instead


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """What the releases of one distribution have in common."""

    name: str  #: TDL's, e.g. `Debian`
    keyring: str  #: on the host, and in the guest
    components: tuple[str, ...]
    base: tuple[str, ...]  #: beside `SERVER`, on each processor
    ports: Mapping[str, Port]  #: by TDL's name of the processor
    releases: Mapping[str, Release]  #: by TDL's version

    @property
    def targets(self) -> tuple[SystemTarget, ...]:
        """Every release on every processor."""
        return tuple((self.name, version, arch) for arch in self.ports for version in self.releases)

    def archive(self, template: Template) -> Archive:
        """Where the template wants its packages from.

        A disc has the release itself and nothing newer. What is on it is often not signed: then the
        checksum of the whole stands for that, and without one a signature is demanded.
        """
        install = template.os.install
        suites = self.releases[template.os.version].suites
        url, keyring = install.url, self.keyring
        if install.type == "iso":
            _check_disc(install)
            return Archive(
                url=f"{url}#",
                suites=suites[:1],
                keyring=None if install.checksum_url else keyring,
                guest_keyring=keyring,
                components=self.components[:1],
            )
        return Archive(
            url=url,
            suites=suites,
            keyring=keyring,
            guest_keyring=keyring,
            components=self.components,
        )

    def plan_base(self, template: Template, parameters: Parameters, config: Config) -> Plan:
        """The steps from a template to `build.disk`."""
        release = self.releases[template.os.version]
        disks = filesystems(template.additions, parameters)
        archive = self.archive(template)
        arch = template.os.arch
        port, firmware = self.ports[arch], _firmware(parameters, arch)
        network, lasting = parameters.boolean("network", default=True), config.reuse_commands
        names = tuple(package.name for package in template.packages)
        kernel = () if any(name.startswith("linux-image-") for name in names) else (port.kernel,)
        base = (*sorted((*SERVER, *self.base, *port.loader, *release.more)), *kernel)
        names = (*names, *needs(template.additions, _ADDITIONS), *disks.tools(_FILESYSTEM_TOOLS))
        disc = template.os.install if template.os.install.type == "iso" else None
        return (
            *([FetchDisc(install=disc)] if disc else []),
            ResolveApt(
                system=template.os.name,
                version=template.os.version,
                arch=arch,
                archive=archive,
                base=base,
                packages=names,
                repositories=template.repositories,
                lock=parameters.text("lock"),
                epoch=parameters.integer("source_date_epoch"),
            ),
            FetchPackages(disc=disc.url if disc else None),
            InstallBase(packages=base, parallel=release.parallel),
            AddRepositories(
                archive=archive, name=self.name.lower(), repositories=template.repositories
            ),
            RunPrecommands(commands=template.precommands, network=network, lasting=lasting),
            InstallPackages(packages=names),
            *set_up(template.additions),
            WriteFiles(files=template.files),
            SetUpNetwork(),
            SetRootPassword(password=template.os.rootpw),
            RunCommands(commands=template.commands, network=network, lasting=lasting),
            *finish(template.additions),
            RemoveRepositories(repositories=template.repositories),
            ResetIdentity(),
            *_disk(template, firmware, disks),
            DescribePackages(
                description=template.description,
                extra_command=template.os.icicle_extra_command,
                enabled=parameters.boolean("generate_icicle", default=True),
            ),
            *plan_boot_test(
                parameters, firmwares=_each(firmware), arch=arch, timeout=config.boot_timeout
            ),
        )


def _check_disc(install: Install) -> None:
    if install.extras:
        msg = f'The element "extras" is not carried out for the disc image "{install.url}"'
        hint = (
            "Leave it out: nothing is started from the disc, and files of the template do the same"
        )
        raise RequestError(msg, hint=hint)


def customized(template: Template, extra: Customization) -> Template:
    """The template with a cloud's content in it.

    A target image is made by the plan of that: a layer found in the cache is not made again.
    """
    whole = merge_repositories(merge_packages(template, extra.packages), extra.repositories)
    return replace(
        whole,
        files=(*whole.files, *extra.files),
        commands=(*whole.commands, *extra.commands),
    )


def _disk(template: Template, firmware: Firmware, disks: Filesystems) -> Plan:
    """The steps that make the disk of a finished tree."""
    arch = template.os.arch
    prepare = PrepareBoot(
        name=template.name,
        firmware=firmware,
        arch=arch,
        kernel_arguments=template.os.kernelparam or "",
        root=disks.root,
        filesystems=disks.beside,
    )
    make = MakeDisk(
        name=template.name,
        size=template.disk_size or DEFAULT_SIZE,
        firmware=firmware,
        arch=arch,
        root=disks.root,
        filesystems=disks.beside,
    )
    return prepare, make


def _firmware(parameters: Parameters, arch: str) -> Firmware:
    """What starts the disk: all that machines with this processor have, unless less is asked for."""
    bios = platform_of(arch).bios
    usual = Firmware.BOTH if bios else Firmware.UEFI
    firmware = Firmware(parameters.choice("firmware", tuple(Firmware), default=usual.value))
    if firmware.bios and not bios:
        msg = f'The parameter "firmware" is "{firmware}", and machines for "{arch}" have no BIOS'
        raise RequestError(msg, hint='Leave it out, or use "uefi"')
    return firmware


def _each(firmware: Firmware) -> tuple[Literal["bios", "uefi"], ...]:
    """The kinds of machine that are to start the disk."""
    bios: tuple[Literal["bios"], ...] = ("bios",) if firmware.bios else ()
    uefi: tuple[Literal["uefi"], ...] = ("uefi",) if firmware.uefi else ()
    return (*bios, *uefi)
