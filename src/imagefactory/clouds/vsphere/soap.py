"""Speaks to vSphere through VMware's own client library, and nothing else does."""

import http.client
import importlib
import importlib.util
import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar
from xml.parsers.expat import ExpatError

import httpx2

from imagefactory.clouds.vsphere.login import VSphereLogin
from imagefactory.core.errors import CloudError
from imagefactory.plugins import servers
from imagefactory.plugins.echoes import redacted
from imagefactory.plugins.rest import FAULTS, PUSHING, Rest
from imagefactory.plugins.rest import connected as rest_connected

log = logging.getLogger(__name__)

T = TypeVar("T")

INSTALL: Final = 'Install it with: pip install "imagefactory[vsphere]"'
_VERSION: Final = "vim.version.version12"  # vSphere 6.5
_PATIENCE: Final = 60.0  # seconds without an answer
_LONGEST: Final = 200  # characters of a fault that a message quotes


class Gone(Exception):
    """What was asked is not there, or not any more."""


class Busy(Exception):
    """What was asked is in a state that forbids this; it may be a passing one."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """A vCenter or ESXi during one call of a plugin."""

    login: VSphereLogin
    rest: Rest
    stub: Any
    content: Any  #: vim.ServiceInstanceContent

    def ask(self, action: Callable[[], T]) -> T:
        """What the library's method returns; `Gone` and `Busy` are for the caller, all else is told."""
        return self.rest.retry(lambda: self.once(action))

    def once(self, action: Callable[[], T]) -> T:
        """The same without another try."""
        return _understood(action, self.login)

    def undoing(self) -> "Service":
        """The same for what a failed push removes."""
        return replace(self, rest=self.rest.undoing())


def installed() -> bool:
    """Whether pushes can work at all."""
    return importlib.util.find_spec("pyVmomi") is not None


def sdk() -> Any:
    """The library, whose types are made at run time. Imported late: it is an extra, and takes a second."""
    return importlib.import_module("pyVmomi")


@contextmanager
def connected(
    login: VSphereLogin,
    doing: str,
    *,
    seconds: float = PUSHING,
    proceed: Callable[[], object] = lambda: None,
) -> Iterator[Service]:
    """A session, which ends with the block. Raises `CloudError` only, and what `proceed` raises."""
    if not installed():
        msg = "The vSphere client library is not installed"
        raise CloudError(msg, hint=INSTALL)
    library = sdk()
    trusted = servers.trusting(login.authority, verify=login.verify)
    with rest_connected(
        "vSphere",
        doing,
        secrets=login.secrets,
        seconds=seconds,
        proceed=proceed,
        trusted=trusted,
    ) as rest:
        stub = library.SoapStubAdapter(
            url=login.api_url,
            version=_VERSION,
            sslContext=trusted,
            httpConnectionTimeout=_PATIENCE,
            connectionPoolTimeout=0,
        )
        service = Service(login=login, rest=rest, stub=stub, content=None)
        instance = library.vim.ServiceInstance("ServiceInstance", stub)
        try:
            service = replace(service, content=service.ask(instance.RetrieveContent))
            service.ask(lambda: _log_in(service, login))
            try:
                yield service
            finally:
                _leave(service)
        finally:
            stub.DropConnections()


def _log_in(service: Service, login: VSphereLogin) -> None:
    """Begin a session, a new one each time: into one that a lost answer has begun there is no login."""
    service.stub.cookie = ""
    manager = service.content.sessionManager
    manager.Login(userName=login.username, password=login.password.reveal())


def _leave(service: Service) -> None:
    try:
        service.once(service.content.sessionManager.Logout)
    except (*FAULTS, CloudError, Gone, Busy):
        log.info("The session with vSphere ends by itself")


def _understood(action: Callable[[], T], login: VSphereLogin) -> T:
    """The one place where the library's exceptions become ours.

    It raises what HTTP and expat brought it as it is; that gets the name that `rest` knows.
    """
    vim, vmodl = sdk().vim, sdk().vmodl
    try:
        return action()
    except ssl.SSLCertVerificationError as error:
        msg = f'The server "{login.api_url}" has a certificate that is not trusted'
        hint = f'Give the provider its authority as "{servers.AUTHORITY}", or "verify": false'
        raise CloudError(msg, hint=hint) from error
    except (OSError, http.client.HTTPException, ExpatError) as error:
        raise httpx2.NetworkError(type(error).__name__) from error
    except KeyError:  # it looks types up that an answer names
        msg = f'What answers at "{login.api_url}" does not speak as vSphere does'
        raise CloudError(msg, hint='Check the "api-url" of the provider') from None
    except vmodl.fault.ManagedObjectNotFound as error:
        raise Gone from error
    except (
        vim.fault.InvalidState,
        vim.fault.DuplicateName,
        vim.fault.FileAlreadyExists,
        vmodl.fault.NotSupported,
    ) as error:
        raise Busy from error
    except vim.fault.InvalidLogin:
        msg = f'The server "{login.api_url}" refused the login'
        raise CloudError(msg, hint="Check user name and password") from None
    except (vmodl.MethodFault, vmodl.RuntimeFault) as error:
        msg = f'The server "{login.api_url}" refused: {said(error, login)}'
        raise CloudError(msg) from None


def said(fault: Any, login: VSphereLogin) -> str:
    """What a fault says, as one line without its full stop."""
    words = getattr(fault, "localizedMessage", None) or getattr(fault, "msg", None)
    kind = type(getattr(fault, "fault", fault)).__name__.rpartition(".")[2]
    text = " ".join(redacted(str(words or kind), login.secrets).split())
    return text.rstrip(".")[:_LONGEST]
