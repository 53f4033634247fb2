"""What to boot, and what to look at once it is up."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagefactory.core.secret import Secret
from imagefactory.engine.boot.firmware import Firmware
from imagefactory.engine.boot.machine import Hardware, Network


@dataclass(frozen=True, kw_only=True)
class Login:
    """Who logs in on the console: a user who may open the second serial port (root, or group dialout)."""

    user: str = "root"
    password: Secret


def _unwatched(_stage: str) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Drive:
    """A raw disk beside the one that is booted, itself and no copy of it."""

    path: Path
    writable: bool = False


@dataclass(frozen=True, kw_only=True)
class Boot:
    """A disk, the machine that it is booted in, and what is wanted of it."""

    disk: Path  #: raw, qcow2, VMDK, VHD, VHDX or VDI; only ever read
    firmware: Firmware = "bios"
    timeout: float = 600.0  #: seconds until it must be up
    run_timeout: float | None = None  #: seconds for each command; None is the same
    size: int | None = None  #: bytes; a disk larger than the file is
    memory: int = 1 << 30  #: bytes
    processors: int | None = None  #: at most two when not given
    network: Network = field(default_factory=Network)
    hardware: Hardware = "virtio"  #: whose disk and network card it has
    drives: Sequence[Drive] = ()  #: in order, after the disk that is booted
    system: Mapping[str, str] = field(default_factory=dict)  #: of SMBIOS, e.g. `product`
    login: Login | None = None  #: needed for `run`
    run: Sequence[str] = ()  #: commands, each by `sh -c`
    switch_off: bool = False  #: cleanly, by the system itself; else it is killed
    log: Path | None = None  #: gets the console, raw
    screenshot: Path | None = (
        None  #: gets a PNG of the screen at the login prompt, or at the failure
    )
    watch: Callable[[str], None] = _unwatched  #: told `kernel`, `systemd`, `target`, `login`
