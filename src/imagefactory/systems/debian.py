"""Debian, built directly from its archive, or by its own installer."""

from collections.abc import Sequence
from typing import Final

from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template
from imagefactory.engine.installer.debian import DebianInstaller, wants_installer
from imagefactory.engine.packages.apt_sources import Suite
from imagefactory.engine.plan import Plan
from imagefactory.plugins.apt_family import Distribution, Port, Release, customized
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Customization, Info, SystemTarget


def _released(codename: str) -> tuple[Suite, ...]:
    return (
        Suite(name=codename),
        Suite(name=f"{codename}-updates", optional=True),
        Suite(name=f"{codename}-security", sibling="debian-security", optional=True),
    )


_DEBIAN: Final = Distribution(
    name="Debian",
    keyring="/usr/share/keyrings/debian-archive-keyring.gpg",
    components=("main",),
    base=("debian-archive-keyring",),
    ports={  # kernels with drivers of virtual machines only
        "x86_64": Port(loader=("grub-cloud-amd64",), kernel="linux-image-cloud-amd64"),
        "aarch64": Port(
            loader=("grub-efi-arm64", "grub-efi-arm64-signed", "shim-signed"),
            kernel="linux-image-cloud-arm64",
        ),
    },
    releases={
        # Its systemd has the resolver in it, and no systemd-repart that could let the root grow.
        "11": Release(suites=_released("bullseye"), more=("cloud-initramfs-growroot",)),
        "12": Release(
            suites=_released("bookworm"),
            more=("systemd-resolved", "usr-is-merged"),
            parallel=True,
        ),
        "13": Release(
            suites=_released("trixie"),
            more=("systemd-repart", "systemd-resolved"),
        ),
        # never released: one suite, which has no updates beside it
        "sid": Release(suites=(Suite(name="sid"),), more=("systemd-repart", "systemd-resolved")),
    },
)
#: those whose installer knows the answers that are written for it
_INSTALLED: Final = ("12", "13")


class Debian:
    """Debian 11 to 13 and sid, from the archive at the template's `<url>`."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def info(self) -> Info:
        return info("Debian", "os", "Debian 11 to 13 and sid, built directly from packages")

    @property
    def targets(self) -> Sequence[SystemTarget]:
        return _DEBIAN.targets

    def plan_base(self, template: Template, parameters: Parameters) -> Plan:
        if wants_installer(parameters):
            _check_installer(template)
            limits = {"install": self._config.timeout, "boot": self._config.boot_timeout}
            installer = DebianInstaller(archive=_DEBIAN.archive(template), **limits)
            return installer.plan(template, parameters)
        return _DEBIAN.plan_base(template, parameters, self._config)

    def plan_customize(
        self, template: Template, parameters: Parameters, extra: Customization
    ) -> Plan:
        return self.plan_base(customized(template, extra), parameters)


def _check_installer(template: Template) -> None:
    version, install = template.os.version, template.os.install
    if template.os.arch != "x86_64":
        msg = f'The installer of Debian is not served for "{template.os.arch}"'
        raise RequestError(msg, hint="Build it directly: leave the parameter out")
    if version not in _INSTALLED:
        msg = f'The installer of Debian "{version}" is not served'
        hint = f"Installed are {' and '.join(_INSTALLED)}; the others are built directly"
        raise RequestError(msg, hint=hint)
    if install.type == "iso":
        msg = f'The installer cannot take its packages from the ISO "{install.url}"'
        hint = 'Use <install type="url"> with the URL of an archive, or build directly'
        raise RequestError(msg, hint=hint)
