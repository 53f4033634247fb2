"""Uploads a disk under the lease of an import, which is kept alive on the way."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from imagefactory.clouds.vsphere.soap import Busy, Gone, Service, said
from imagefactory.core.errors import CloudError
from imagefactory.plugins.rest import FAULTS

_PIECE: Final = 1 << 20
_PERIOD: Final = 20.0  # seconds between two signs of life; a lease ends after some minutes without
_STORING: Final = 600.0  # seconds that a server may take to store the rest


def upload(lease: Any, disk: Path, service: Service, advance: Callable[[int], object]) -> None:
    """Bring the disk there, and end the lease: well, or, when that cannot be, by giving it up."""
    try:
        url = _url(_ready(lease, service), service)
        size = disk.stat().st_size

        def send() -> None:
            service.rest.once(
                "POST",
                url,
                content=_content(disk, lease, service, advance),
                headers={
                    "Content-Type": "application/x-vnd.vmware-streamVmdk",
                    "Content-Length": str(size),
                },
                timeout=_STORING,
            )

        service.rest.retry(send)
        _complete(lease, service)
    except BaseException:
        _abort(lease, service)
        raise


def _ready(lease: Any, service: Service) -> Any:
    """What a lease says when its machine has been made."""

    def look() -> Any:
        match service.ask(lambda: lease.state):
            case "ready":
                return service.ask(lambda: lease.info)
            case "initializing":
                return None
            case _:
                fault = service.ask(lambda: lease.error)
                msg = f"vSphere gave up the import: {said(fault, service.login)}"
                raise CloudError(msg)

    return service.rest.settle(look)


def _url(info: Any, service: Service) -> str:
    """Where the disk goes: to a host of its own, or, where the host is `*`, to the server itself."""
    [disk] = [device for device in info.deviceUrl if device.disk]
    parts = urlsplit(str(disk.url))
    if parts.hostname == "*":
        server = urlsplit(service.login.api_url)
        parts = parts._replace(scheme=server.scheme, netloc=server.netloc)
    return parts.geturl()


def _content(
    disk: Path, lease: Any, service: Service, advance: Callable[[int], object]
) -> Iterator[bytes]:
    size, sent, told = disk.stat().st_size, 0, time.monotonic()
    with disk.open("rb", buffering=0) as file:
        while data := file.read(_PIECE):
            yield data
            sent += len(data)
            advance(sent)
            if time.monotonic() - told > _PERIOD:
                told = time.monotonic()
                _tell(lease, min(100 * sent // size, 99), service)


def _tell(lease: Any, percent: int, service: Service) -> None:
    """Keep the lease. That it fails is no fault of the upload's: the next time is soon."""
    try:
        service.once(lambda: lease.HttpNfcLeaseProgress(percent))
    except (*FAULTS, Busy):
        pass


def _complete(lease: Any, service: Service) -> None:
    """End the lease. Its absence may be the work of an earlier try: then the machine is there, or not."""
    try:
        service.ask(lambda: lease.HttpNfcLeaseProgress(100))
        service.ask(lease.HttpNfcLeaseComplete)
    except (Gone, Busy):
        return


def _abort(lease: Any, service: Service) -> None:
    try:
        service.undoing().ask(lease.HttpNfcLeaseAbort)
    except (*FAULTS, CloudError, Gone, Busy):
        pass
