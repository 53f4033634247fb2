"""A libvirtd of its own for the tests: as a user's, so that it shares nothing with one that the host runs."""

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from imagefactory.clouds.libvirt import connection as api

POOL: Final = "images"
_STARTING: Final = 60.0  # seconds; neighbours may be busy
_PROGRAM: Final = "/usr/sbin/libvirtd"


@dataclass(frozen=True, kw_only=True)
class Libvirtd:
    """A daemon that runs, with one empty pool."""

    socket: Path
    folder: Path  #: the pool's

    def uri(self, socket: Path | None = None) -> str:
        """Its address; through another socket where one is given."""
        return f"qemu+unix:///session?socket={socket or self.socket}"

    @contextmanager
    def asked(self) -> Iterator[Any]:
        """A connection to look from beside what the tested code does."""
        api.listen()
        connection = api.sdk().open(self.uri())
        try:
            yield connection
        finally:
            connection.close()

    def things(self) -> list[str]:
        """All files in the pool's folder, whatever libvirt knows of them, and all machines."""
        with self.asked() as connection:
            machines = [f"domain {domain.name()}" for domain in connection.listAllDomains(0)]
        return sorted([*(path.name for path in self.folder.iterdir()), *machines])


@contextmanager
def running() -> Iterator[Libvirtd]:
    """The daemon, gone with its machines at the end of the block. Its sockets need a short path."""
    if shutil.which(_PROGRAM) is None or not api.installed():
        pytest.skip("libvirtd or the library for it is not installed")
    with TemporaryDirectory(prefix="lv-", dir="/tmp") as name:
        state = Path(name)
        folder = state / "pool"
        folder.mkdir()
        config = state / "etc" / "libvirt"
        config.mkdir(parents=True)
        (config / "libvirtd.conf").write_text('auth_unix_rw = "none"\n')
        (config / "qemu.conf").write_text('stdio_handler = "file"\nsecurity_driver = "none"\n')
        runtime = state / "run"
        runtime.mkdir(mode=0o700)
        with _started(state) as process:
            server = Libvirtd(socket=runtime / "libvirt" / "libvirt-sock", folder=folder)
            try:
                _await(server, process, state)
                yield server
                _clear(server)
            finally:
                process.terminate()


def _started(state: Path) -> subprocess.Popen[bytes]:
    """Libvirtd as nobody where we are root: root's own would be the system's."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(state),
        "XDG_CONFIG_HOME": str(state / "etc"),
        "XDG_CACHE_HOME": str(state / "cache"),
        "XDG_DATA_HOME": str(state / "data"),
        "XDG_RUNTIME_DIR": str(state / "run"),
    }
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for path in [state, *state.rglob("*")]:
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with (state / "libvirtd.out").open("wb") as output:
        return subprocess.Popen(
            [_PROGRAM, "--config", str(state / "etc" / "libvirt" / "libvirtd.conf")],
            env=environment,
            cwd=state,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            **user,
        )


def _await(server: Libvirtd, process: subprocess.Popen[bytes], state: Path) -> None:
    libvirt = api.sdk()
    pool = (
        f"<pool type='dir'><name>{POOL}</name><target><path>{server.folder}</path></target></pool>"
    )
    ends = time.monotonic() + _STARTING
    while process.poll() is None and time.monotonic() < ends:
        try:
            with server.asked() as connection:
                connection.storagePoolCreateXML(pool, 0)
                return
        except libvirt.libvirtError:
            time.sleep(0.1)
    pytest.fail(f"libvirtd does not start:\n{(state / 'libvirtd.out').read_text()[-4000:]}")


def _clear(server: Libvirtd) -> None:
    """End all machines: they would outlive the daemon."""
    with server.asked() as connection:
        for domain in connection.listAllDomains(0):
            if domain.isActive():
                domain.destroy()
