"""How a system of the RPM family is built directly from its repositories, once for all distributions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from imagefactory.core.additions import FilesystemType
from imagefactory.core.config import Config
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template
from imagefactory.engine.additions import finish, needs, set_up
from imagefactory.engine.bom import DescribeRpmPackages
from imagefactory.engine.boot.step import plan_boot_test
from imagefactory.engine.customize import RunCommands, RunPrecommands, SetRootPassword, WriteFiles
from imagefactory.engine.disk.bls import PrepareEntries
from imagefactory.engine.disk.layout import DEFAULT_SIZE, Firmware
from imagefactory.engine.disk.make import MakeDisk
from imagefactory.engine.disk.wanted import Filesystems, filesystems
from imagefactory.engine.identity import ResetIdentity
from imagefactory.engine.network import EnableNetwork
from imagefactory.engine.packages.dnf import Manager, ResolveRpm
from imagefactory.engine.packages.dnf_install import InstallRpmBase, InstallRpmPackages
from imagefactory.engine.packages.dnf_repositories import (
    AddRpmRepositories,
    RemoveRpmRepositories,
)
from imagefactory.engine.packages.dnf_sources import Distribution, Part
from imagefactory.engine.packages.locked import FetchPackages
from imagefactory.engine.plan import Plan

#: where the package distribution-gpg-keys puts the keys of all distributions
_KEYS: Final = "/usr/share/distribution-gpg-keys"
_FILESYSTEM_TOOLS: Final[Mapping[FilesystemType, str]] = {"btrfs": "btrfs-progs", "xfs": "xfsprogs"}

#: where rpm keeps its database
SYSIMAGE: Final = "/usr/lib/sysimage/rpm"
VAR_LIB: Final = "/var/lib/rpm"


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release: a row."""

    number: str  #: `releasever`
    parts: tuple[Part, ...]
    keys: str  #: file below `_KEYS`
    platform: str = ""  #: of modules
    database: str = SYSIMAGE


@dataclass(frozen=True, kw_only=True)
class Family:
    """What its releases have in common."""

    manager: Manager
    base: tuple[
        str, ...
    ]  #: what a server needs to start, be reached, be administered and be upgraded
    kernel: str  #: a template that names a kernel gets that one instead
    additions: Mapping[str, str]  #: what `<customize>` needs beside the base system
    signed_index: bool = False  #: whether the repositories' indexes are signed
    names_own: bool = False  #: whether no package tells the guest where its repositories are

    def plan_base(
        self, template: Template, parameters: Parameters, config: Config, *, release: Release
    ) -> Plan:
        """The steps from a template to `build.disk`."""
        disks = filesystems(template.additions, parameters)
        firmware = Firmware(
            parameters.choice("firmware", tuple(Firmware), default=Firmware.BOTH.value)
        )
        return (
            *self._tree(template, parameters, release, disks),
            *_disk(template, parameters, firmware, disks),
            *plan_boot_test(parameters, firmwares=_each(firmware), timeout=config.boot_timeout),
        )

    def _tree(
        self, template: Template, parameters: Parameters, release: Release, disks: Filesystems
    ) -> Plan:
        """The steps that make what is in the system."""
        distribution = Distribution(
            url=template.os.install.url,
            parts=release.parts,
            keys=f"{_KEYS}/{release.keys}",
            signed_index=self.signed_index,
        )
        network = parameters.boolean("network", default=True)
        repositories, manager = template.repositories, self.manager
        base = InstallRpmBase(
            distribution=distribution,
            release=release.number,
            database=release.database,
            manager=manager,
        )
        more = InstallRpmPackages(
            distribution=distribution,
            release=release.number,
            database=release.database,
            repositories=repositories,
            manager=manager,
        )
        return (
            self._resolve(template, parameters, release, disks, distribution=distribution),
            FetchPackages(),
            base,
            AddRpmRepositories(
                repositories=repositories,
                manager=manager,
                own=distribution if self.names_own else None,
            ),
            RunPrecommands(commands=template.precommands, network=network),
            more,
            *set_up(template.additions),
            WriteFiles(files=template.files),
            EnableNetwork(),
            SetRootPassword(password=template.os.rootpw),
            RunCommands(commands=template.commands, network=network),
            *finish(template.additions),
            RemoveRpmRepositories(repositories=repositories, manager=manager),
            ResetIdentity(),
        )

    def _resolve(
        self,
        template: Template,
        parameters: Parameters,
        release: Release,
        disks: Filesystems,
        *,
        distribution: Distribution,
    ) -> ResolveRpm:
        names = tuple(package.name for package in template.packages)
        kernel = () if any(name.startswith("kernel") for name in names) else (self.kernel,)
        more = (*needs(template.additions, self.additions), *disks.tools(_FILESYSTEM_TOOLS))
        return ResolveRpm(
            system=template.os.name,
            version=template.os.version,
            arch=template.os.arch,
            distribution=distribution,
            base=(*self.base, *kernel),
            release=release.number,
            platform=release.platform,
            manager=self.manager,
            packages=(*names, *more),
            repositories=template.repositories,
            lock=parameters.text("lock"),
            epoch=parameters.integer("source_date_epoch"),
        )


def _disk(
    template: Template, parameters: Parameters, firmware: Firmware, disks: Filesystems
) -> Plan:
    """The steps that make the disk of it, and say what is there."""
    return (
        PrepareEntries(
            name=template.name,
            firmware=firmware,
            kernel_arguments=template.os.kernelparam or "",
            root=disks.root,
            filesystems=disks.beside,
        ),
        MakeDisk(
            name=template.name,
            size=template.disk_size or DEFAULT_SIZE,
            firmware=firmware,
            root=disks.root,
            filesystems=disks.beside,
        ),
        DescribeRpmPackages(
            description=template.description,
            extra_command=template.os.icicle_extra_command,
            enabled=parameters.boolean("generate_icicle", default=True),
        ),
    )


def _each(firmware: Firmware) -> tuple[Literal["bios", "uefi"], ...]:
    """The kinds of machine that are to start the disk."""
    bios: tuple[Literal["bios"], ...] = ("bios",) if firmware.bios else ()
    uefi: tuple[Literal["uefi"], ...] = ("uefi",) if firmware.uefi else ()
    return (*bios, *uefi)
