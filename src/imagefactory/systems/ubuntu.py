"""Ubuntu, built directly from its archive."""

from collections.abc import Sequence
from typing import Final

from imagefactory.core.config import Config
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template
from imagefactory.engine.packages.apt_sources import Suite
from imagefactory.engine.plan import Plan
from imagefactory.plugins.apt_family import Distribution, Port, Release, customized
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Customization, Info, SystemTarget


def _suites(codename: str) -> tuple[Suite, ...]:
    """Its mirrors hold the security updates, too, beside the others."""
    return (
        Suite(name=codename),
        Suite(name=f"{codename}-updates", optional=True),
        Suite(name=f"{codename}-security", optional=True),
    )


_UBUNTU: Final = Distribution(
    name="Ubuntu",
    keyring="/usr/share/keyrings/ubuntu-archive-keyring.gpg",
    components=("main", "universe"),
    base=("ubuntu-keyring",),
    ports={  # kernels with drivers of virtual machines only
        # Its GRUB for a BIOS and its signed one for UEFI live side by side, as in its own cloud images.
        "x86_64": Port(
            loader=("grub-efi-amd64-bin", "grub-efi-amd64-signed", "grub-pc", "shim-signed"),
            kernel="linux-image-virtual",
        ),
        "aarch64": Port(
            loader=("grub-efi-arm64", "grub-efi-arm64-signed", "shim-signed"),
            kernel="linux-image-virtual",
        ),
    },
    releases={
        # Its systemd has the resolver in it.
        "22.04": Release(suites=_suites("jammy"), more=("cloud-initramfs-growroot",)),
        "24.04": Release(
            suites=_suites("noble"), more=("cloud-initramfs-growroot", "systemd-resolved")
        ),
        # Packages that need an initramfs get dracut from here on, unless this one is asked for.
        "26.04": Release(suites=_suites("resolute"), more=("systemd-repart", "systemd-resolved")),
    },
)


class Ubuntu:
    """Ubuntu 22.04, 24.04 and 26.04, from the archive at the template's `<url>`."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def info(self) -> Info:
        return info("Ubuntu", "os", "Ubuntu 22.04, 24.04 and 26.04, built directly from packages")

    @property
    def targets(self) -> Sequence[SystemTarget]:
        return _UBUNTU.targets

    def plan_base(self, template: Template, parameters: Parameters) -> Plan:
        return _UBUNTU.plan_base(template, parameters, self._config)

    def plan_customize(
        self, template: Template, parameters: Parameters, extra: Customization
    ) -> Plan:
        return self.plan_base(customized(template, extra), parameters)
