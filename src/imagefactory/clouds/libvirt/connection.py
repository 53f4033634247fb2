"""Speaks to libvirt through its own client library, and nothing else does."""

import errno
import importlib.util
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, TypeVar

from imagefactory.clouds.libvirt.login import LibvirtLogin
from imagefactory.core.errors import CloudError
from imagefactory.core.secret import REDACTED
from imagefactory.plugins.retry import Retry

INSTALL: Final = 'Install "libvirt-dev", "pkg-config" and a C compiler, then: pip install "imagefactory[libvirt]"'
ASKING: Final = 2.0  #: seconds that a check lets a fault last
PUSHING: Final = 120.0  #: seconds that a push does
UNDOING: Final = 10.0  #: seconds that it does when it has failed already

_ALIVE: Final = (5, 6)  # a connection that answers nothing for 30 s is given up
_LONGEST: Final = 300  # characters of an error that a message quotes

T = TypeVar("T")


def installed() -> bool:
    """Whether the client library, an extra of ours, is there."""
    return importlib.util.find_spec("libvirtmod") is not None


def sdk() -> Any:
    """The client library."""
    import libvirt  # noqa: PLC0415 - an extra

    return libvirt


class Gone(Exception):
    """What was asked for is not there."""


class Client:
    """One libvirt, asked again where a fault may pass: with a new connection, since the old one is broken."""

    def __init__(self, login: LibvirtLogin, doing: str, retry: Retry) -> None:
        self._login = login
        self._doing = doing
        self._retry = retry

    def ask(self, action: Callable[[Any], T]) -> T:
        """What the action gives, which is safe to do again; it gets a `virConnect`. `CloudError`, `Gone`."""
        libvirt = sdk()
        try:
            return self._retry(lambda: self._once(action))
        except libvirt.libvirtError as error:
            raise self._told(error) from None

    def _once(self, action: Callable[[Any], T]) -> T:
        connection = _opened(self._login)
        try:
            return action(connection)
        finally:
            _closed(connection)

    def _told(self, error: Any) -> CloudError:
        said = (error.get_error_message() or str(error)).strip().rstrip(".")[:_LONGEST]
        for secret in self._login.secrets:
            said = said.replace(secret.reveal(), REDACTED)
        return CloudError(f'The libvirt at "{self._login.uri}" could not {self._doing}: {said}')


@contextmanager
def connected(
    login: LibvirtLogin,
    doing: str,
    *,
    seconds: float = PUSHING,
    proceed: Callable[[], object] = lambda: None,
) -> Iterator[Client]:
    """A client; without the library a `CloudError` that says what to install."""
    if not installed():
        msg = "The client library of libvirt is not installed"
        raise CloudError(msg, hint=INSTALL)
    listen()
    libvirt = sdk()
    retry = Retry(faults=(libvirt.libvirtError,), pause=_pause, proceed=proceed, seconds=seconds)
    yield Client(login, doing, retry)


def is_absent(error: Any) -> bool:
    """Whether a `libvirtError` says that there is no such thing."""
    libvirt = sdk()
    return error.get_error_code() in {
        libvirt.VIR_ERR_NO_DOMAIN,
        libvirt.VIR_ERR_NO_STORAGE_VOL,
        libvirt.VIR_ERR_NO_STORAGE_POOL,
        libvirt.VIR_ERR_NO_NETWORK,
    }


def found(look: Callable[[], T]) -> T | None:
    """What `look` gives; None where libvirt says that there is no such thing."""
    try:
        return look()
    except sdk().libvirtError as error:
        if is_absent(error):
            return None
        raise


@cache
def listen() -> None:
    """Let the library notice dead connections, once in a process; it needs a thread for that."""
    libvirt = sdk()
    libvirt.registerErrorHandler(_unheard, None)
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_notice, daemon=True, name="libvirt-events").start()


def _notice() -> None:
    libvirt = sdk()
    while True:
        libvirt.virEventRunDefaultImpl()


def _unheard(_context: object, _error: object) -> None:
    """The library would print to our standard error what it raises as well."""


def _opened(login: LibvirtLogin) -> Any:
    libvirt = sdk()
    wanted = [libvirt.VIR_CRED_AUTHNAME, libvirt.VIR_CRED_PASSPHRASE]

    def answer(asked: list[list[Any]], _data: object) -> int:
        if login.username is None or login.password is None:
            return -1
        for row in asked:
            named = row[0] == libvirt.VIR_CRED_AUTHNAME
            row[4] = login.username if named else login.password.reveal()
        return 0

    connection = libvirt.openAuth(login.uri, [wanted, answer, None], 0)
    connection.setKeepAlive(*_ALIVE)
    return connection


def _closed(connection: Any) -> None:
    try:
        connection.close()
    except sdk().libvirtError:  # it was broken, and that is told by another
        return


def _pause(error: Exception) -> float | None:
    """Broken connections may be made again, and a busy pool may be free then; a full one stays full."""
    libvirt = sdk()
    passing = {
        *(libvirt.VIR_ERR_RPC, libvirt.VIR_ERR_NO_CONNECT),
        *(libvirt.VIR_ERR_OPERATION_TIMEOUT, libvirt.VIR_ERR_RESOURCE_BUSY),
    }
    assert isinstance(error, libvirt.libvirtError)  # noqa: S101 - `Retry` was told so
    code, domain = error.get_error_code(), error.get_error_domain()
    broken = domain in {libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE, libvirt.VIR_FROM_STREAMS}
    said = error.get_error_message() or ""
    if os.strerror(errno.ENOSPC) in said:
        return None
    busy = "asynchronous jobs" in said
    return 0.0 if code in passing or broken or busy else None
