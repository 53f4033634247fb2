"""Speaks to oVirt's engine, by version 4 of its REST API."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final
from urllib.parse import quote

import httpx2

from imagefactory.clouds.rhevm.login import RhevmLogin
from imagefactory.core.errors import CloudError
from imagefactory.core.secret import Secret
from imagefactory.plugins import servers
from imagefactory.plugins.rest import FAULTS, PUSHING, AccessToken, Refusal, Rest, content
from imagefactory.plugins.rest import connected as rest_connected

log = logging.getLogger(__name__)

Thing = Mapping[str, Any]

_HEADERS: Final = {"Accept": "application/json", "Version": "4"}
_SCOPE: Final = "ovirt-app-api"
_LIFE: Final = (
    600.0  # seconds that a token is used; the engine ends those that rest for half an hour
)
_GONE: Final = frozenset({200, 202, 204, 404})
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine during one call of a plugin. Methods raise what `connected` understands."""

    rest: Rest
    login: RhevmLogin
    authorize: AccessToken

    def listed(self, path: str, *, search: str | None = None) -> list[Thing]:
        """The things of a collection."""
        return self.rest.retry(lambda: self._listed(path, search))

    def named(self, path: str, name: str) -> list[Thing]:
        """The things of a collection with this name."""
        return [thing for thing in self.listed(path, search=_search(name)) if _is(thing, name)]

    def show(self, path: str, *, fresh: bool = False) -> Thing | None:
        """One thing; None when it is not there. For `fresh` see `Rest.once`."""
        expect = (200, _NOT_FOUND)
        answer = self.rest.retry(lambda: self._once("GET", path, expect=expect, fresh=fresh))
        return None if answer.status_code == _NOT_FOUND else content(answer)

    def make(
        self, path: str, body: Thing, *, same: Callable[[Thing], bool], search: str | None = None
    ) -> Thing:
        """Make a thing, unless an earlier try or life has: the engine knows no repeated requests."""

        def begin() -> Thing:
            found = next((thing for thing in self._listed(path, search) if same(thing)), None)
            return found or content(self._once("POST", path, json=body))

        return self.rest.retry(begin)

    def make_named(self, path: str, name: str, body: Thing) -> str:
        """Make a thing that is known by its name; its id."""
        body = {"name": name, **body}
        made = self.make(path, body, same=lambda thing: _is(thing, name), search=_search(name))
        return str(made["id"])

    def act(self, path: str, body: Thing) -> None:
        """Ask for an action."""
        self.rest.retry(lambda: self._once("POST", path, json=body))

    def settled(self, path: str) -> str:
        """The status that a thing has when the engine has done with it."""

        def look() -> str | None:
            status = str((self.show(path, fresh=True) or {}).get("status"))
            return None if _is_locked(status) else status

        return self.rest.settle(look)

    def remove(self, path: str) -> None:
        """Remove a thing, and wait until it is gone; one that is gone is as good."""
        refused = count()

        def begin() -> bool | None:
            try:
                self._once("DELETE", path, expect=_GONE)
            except Refusal as error:
                if error.status != _CONFLICT:
                    raise
                there = self.show(path)
                # What is not locked any more may have been so a moment ago.
                if there and not _is_locked(str(there.get("status"))) and next(refused):
                    raise
                return None if there else True
            return True

        self.rest.settle(begin)
        self.rest.settle(lambda: True if self.show(path) is None else None)

    def undoing(self) -> "Engine":
        """The same for what a failed push removes."""
        return replace(self, rest=self.rest.undoing())

    def _listed(self, path: str, search: str | None) -> list[Thing]:
        words = {} if search is None else {"params": {"search": search}}
        answer = content(self._once("GET", path, **words))
        return next((value for value in answer.values() if isinstance(value, list)), [])

    def _once(self, method: str, path: str, **words: Any) -> httpx2.Response:
        url = f"{self.login.api_url}/{quote(path)}"
        return self.rest.once(method, url, authorize=self.authorize, headers=_HEADERS, **words)


@contextmanager
def connected(
    login: RhevmLogin,
    doing: str,
    *,
    seconds: float = PUSHING,
    proceed: Callable[[], object] = lambda: None,
) -> Iterator[Engine]:
    """A session, which ends with the block. Raises `CloudError` only, and what `proceed` raises."""
    with rest_connected(
        "The oVirt engine",
        doing,
        secrets=login.secrets,
        seconds=seconds,
        proceed=proceed,
        trusted=servers.trusting(login.authority, verify=login.verify),
    ) as asking:
        rest = replace(asking, settling=float(login.timeout))
        tokens: list[Secret] = []

        def fetch() -> Thing:
            token = _token(rest, login)
            tokens.append(Secret(token))
            return {"access_token": token, "expires_in": _LIFE}

        try:
            yield Engine(rest=rest, login=login, authorize=AccessToken(fetch))
        finally:
            for token in tokens:
                _leave(token, rest, login)


def _token(rest: Rest, login: RhevmLogin) -> str:
    words = {
        "grant_type": "password",
        "scope": _SCOPE,
        "username": login.username,
        "password": login.password.reveal(),
    }
    url = f"{login.engine_url}/sso/oauth/token"
    answer = content(rest.ask("POST", url, data=words, headers=_HEADERS))
    if not answer.get("access_token"):
        msg = f'The server "{login.api_url}" refused the login'
        raise CloudError(msg, hint="Check user name and password")
    return str(answer["access_token"])


def _leave(token: Secret, rest: Rest, login: RhevmLogin) -> None:
    url = f"{login.engine_url}/services/sso-logout"
    try:
        rest.once("POST", url, data={"scope": _SCOPE, "token": token.reveal()}, headers=_HEADERS)
    except FAULTS:
        log.info("The session with oVirt ends by itself")


def _search(name: str) -> str:
    return f"name={name}"


def _is(thing: Thing, name: str) -> bool:
    return bool(thing.get("name") == name)


def _is_locked(status: str) -> bool:
    """`locked` of disks and templates, `image_locked` of machines."""
    return status.endswith("locked")
