"""Serves Keystone, Glance or what stands for AWS on a socket that was handed over, as long as who started it lives.

Runs in the servers' environment: python serve.py keystone|glance|aws SOCKET_FD SECONDS
"""

import os
import runpy
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def leave_with_parent(seconds: float) -> None:
    """End this process when its standard input ends, and in any case after some time."""
    limit = threading.Timer(seconds, os._exit, args=[1])
    limit.daemon = True
    limit.start()

    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def application(name: str) -> Callable[..., Any]:
    """The server's WSGI application, made with the configuration that the environment names."""
    sys.argv = [name]  # they parse it
    if name == "aws":
        aws: Callable[..., Any] = runpy.run_path(str(Path(__file__).with_name("strict_moto.py")))[
            "application"
        ]
        return aws
    modules = {"keystone": "keystone.wsgi.api", "glance": "glance.wsgi.api"}
    found: Callable[..., Any] = import_module(modules[name]).application
    return found


def main() -> None:
    """Serve until somebody ends us."""
    name, handle, seconds = sys.argv[1:]
    leave_with_parent(float(seconds))
    os.dup2(int(handle), 3)
    os.environ["LISTEN_PID"] = str(os.getpid())  # as systemd hands sockets over
    server = import_module("cheroot.wsgi").Server(
        ("127.0.0.1", 0), application(name), numthreads=12, timeout=600
    )
    server.safe_start()


if __name__ == "__main__":
    main()
