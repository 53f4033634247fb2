"""Tells systemd how the daemon is: sd_notify(3), which is one datagram."""

import os
import socket
from collections.abc import Mapping


def notify(state: str, *, environment: Mapping[str, str] = os.environ) -> None:
    """Send e.g. `READY=1`; without systemd nobody is told."""
    address = environment.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # unix(7): an abstract address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(state.encode(), address)
