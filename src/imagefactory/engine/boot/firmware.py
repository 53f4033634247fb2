"""Where the host keeps the firmware that machines start from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from imagefactory.core.errors import ToolMissing

Firmware = Literal["bios", "uefi"]

TITLES: Final[dict[Firmware, str]] = {"bios": "BIOS", "uefi": "UEFI"}


@dataclass(frozen=True, kw_only=True)
class Uefi:
    """A build of OVMF without Secure Boot: its code, and a fresh store of variables to copy."""

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


def find_uefi(known: Sequence[Uefi] = OVMF) -> Uefi:
    """The firmware of this host; `ToolMissing` when there is none."""
    for uefi in known:
        if uefi.code.exists() and uefi.variables.exists():
            return uefi
    msg = 'The firmware "OVMF" is not installed'
    raise ToolMissing(msg, hint='Install the package "ovmf"')
