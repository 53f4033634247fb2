"""What starts a disk on each kind of processor: GRUB's names, UEFI's names, consoles, partition types."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from imagefactory.core.errors import RequestError
from imagefactory.engine.disk import gpt


@dataclass(frozen=True, kw_only=True)
class Platform:
    """A kind of processor, as boot loaders see it."""

    grub: str  #: the format of GRUB's images for its UEFI
    efi: str  #: the end of names of its UEFI programs (UEFI specification 2.10, section 3.5.1.1)
    root: UUID  #: the type of a root partition
    bios: bool  #: whether there are machines with the BIOS of a PC
    consoles: str  #: for Linux; the last one becomes /dev/console
    terminal: str  #: GRUB's settings
    packages: tuple[str, str]  #: of Debian, for hints: one with a boot loader, one with a kernel

    @property
    def efi_kernel(self) -> str:
        """The file without which GRUB makes no image for UEFI."""
        return f"/usr/lib/grub/{self.grub}/kernel.img"

    @property
    def core_efi(self) -> str:
        """GRUB's image, below its folder."""
        return f"{self.grub}/core.efi"

    @property
    def default(self) -> str:
        """What firmware that was told nothing looks for, in the EFI system partition."""
        return f"EFI/BOOT/BOOT{self.efi.upper()}.EFI"

    @property
    def shim(self) -> str:
        """What Secure Boot firmware accepts; what it accepts follows."""
        return f"/usr/lib/shim/shim{self.efi}.efi.signed"

    @property
    def signed_key_manager(self) -> str:
        """By which a machine's owner adds keys."""
        return f"/usr/lib/shim/mm{self.efi}.efi.signed"

    @property
    def signed_grub(self) -> str:
        """GRUB, signed by the distribution."""
        return f"/usr/lib/grub/{self.grub}-signed/grub{self.efi}.efi.signed"

    @property
    def signed(self) -> frozenset[str]:
        """The whole chain."""
        return frozenset({self.shim, self.signed_key_manager, self.signed_grub})


PLATFORMS: Final[Mapping[str, Platform]] = {
    "x86_64": Platform(
        grub="x86_64-efi",
        efi="x64",
        root=gpt.LINUX_ROOT_X86_64,
        bios=True,
        consoles="console=tty0 console=ttyS0,115200",
        terminal='GRUB_TERMINAL="console serial"\n'
        'GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"\n',
        packages=("grub-cloud-amd64", "linux-image-cloud-amd64"),
    ),
    # Machines have either port: Linux leaves out what is not there. GRUB has no driver for the second, and
    # the firmware's own console goes to all of them.
    "aarch64": Platform(
        grub="arm64-efi",
        efi="aa64",
        root=gpt.LINUX_ROOT_ARM64,
        bios=False,
        consoles="console=tty0 console=ttyS0,115200 console=ttyAMA0,115200",
        terminal='GRUB_TERMINAL="console"\n',
        packages=("grub-efi-arm64", "linux-image-cloud-arm64"),
    ),
}


def platform_of(arch: str) -> Platform:
    """`RequestError` for a processor whose disks nothing here can start."""
    if arch not in PLATFORMS:
        msg = f'No disk is made that starts on "{arch}"'
        raise RequestError(msg, hint=f"Disks are made for {' and '.join(PLATFORMS)}")
    return PLATFORMS[arch]
