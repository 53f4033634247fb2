"""Where the host keeps the firmware that machines start from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from imagefactory.core.errors import RequestError, ToolMissing
from imagefactory.engine.boot.boards import BOARDS

Firmware = Literal["bios", "uefi"]

TITLES: Final[dict[Firmware, str]] = {"bios": "BIOS", "uefi": "UEFI"}


@dataclass(frozen=True, kw_only=True)
class Uefi:
    """A build of EDK II without Secure Boot: its code, and a fresh store of variables to copy."""

    code: Path
    variables: Path


#: Debian 12 and 13 and Ubuntu 24.04 have the first, older Debian and Ubuntu the second.
OVMF: Final = (
    Uefi(
        code=Path("/usr/share/OVMF/OVMF_CODE_4M.fd"),
        variables=Path("/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ),
    Uefi(
        code=Path("/usr/share/OVMF/OVMF_CODE.fd"),
        variables=Path("/usr/share/OVMF/OVMF_VARS.fd"),
    ),
    Uefi(
        code=Path("/usr/share/edk2/ovmf/OVMF_CODE.fd"),
        variables=Path("/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ),
)


#: the same of machines with an ARM processor, of Debian 13 and 12, and of Fedora
AAVMF: Final = (
    Uefi(
        code=Path("/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd"),
        variables=Path("/usr/share/AAVMF/AAVMF_VARS.fd"),
    ),
    Uefi(
        code=Path("/usr/share/AAVMF/AAVMF_CODE.fd"),
        variables=Path("/usr/share/AAVMF/AAVMF_VARS.fd"),
    ),
    Uefi(
        code=Path("/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw"),
        variables=Path("/usr/share/edk2/aarch64/vars-template-pflash.raw"),
    ),
)


@dataclass(frozen=True, kw_only=True)
class _Brand:
    """What the firmware for a kind of machine is called, and where it may be."""

    name: str
    package: str
    builds: Sequence[Uefi]


_BRANDS: Final[Mapping[str, _Brand]] = {
    "x86_64": _Brand(name="OVMF", package="ovmf", builds=OVMF),
    "aarch64": _Brand(name="AAVMF", package="qemu-efi-aarch64", builds=AAVMF),
}


def find_uefi(arch: str, known: Sequence[Uefi] | None = None) -> Uefi:
    """The firmware of this host for a kind of machine; `ToolMissing` when there is none."""
    brand = _BRANDS[arch]
    for uefi in brand.builds if known is None else known:
        if uefi.code.exists() and uefi.variables.exists():
            return uefi
    msg = f'The firmware "{brand.name}" is not installed'
    raise ToolMissing(msg, hint=f'Install the package "{brand.package}"')


def check_firmware(firmware: Firmware, arch: str) -> None:
    """`RequestError` for a BIOS where machines have none."""
    if firmware == "bios" and not BOARDS[arch].bios:
        msg = f'A machine for "{arch}" has no BIOS'
        raise RequestError(msg, hint='Boot it with "uefi"')
