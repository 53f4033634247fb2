"""What every endpoint needs to know: the factory, its configuration, and under which address it is seen."""

import asyncio
import re
from concurrent.futures import Future
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Final

from fastapi import Depends, Request

from imagefactory.builds.factory import Factory
from imagefactory.core.config import Config
from imagefactory.core.errors import ConfigError
from imagefactory.web.signatures import Signatures
from imagefactory.web.turns import Turns

ROOT: Final = "/imagefactory"

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, kw_only=True)
class Site:
    """The API over one factory."""

    factory: Factory
    config: Config
    signatures: Signatures  #: of the OAuth consumers
    nonces: Turns  #: those that they have used
    proxies: tuple[IPv4Network | IPv6Network, ...]  #: whose word about addresses is taken
    stock: Future[None]  #: done when all images of the storage folder are recorded

    async def stocked(self) -> None:
        """Wait until all images are known: before that, an answer about them could be wrong. `StoreError`."""
        if not self.stock.done():
            await asyncio.shield(asyncio.wrap_future(self.stock))
        self.stock.result()

    def origin(self, request: Request) -> str:
        """Scheme, host and port as the client sees them, without a slash at the end."""
        scheme, host = request.url.scheme, request.headers.get("host", "")
        if self._is_proxied(request):
            scheme = _last(request, "x-forwarded-proto").lower() or scheme
            host = _last(request, "x-forwarded-host") or host
        if scheme not in {"http", "https"}:
            scheme = request.url.scheme
        return f"{scheme}://{host if _HOST.fullmatch(host) else _own_host(request)}"

    def root(self, request: Request) -> str:
        """The address of the API."""
        return self.origin(request) + ROOT

    def here(self, request: Request) -> str:
        """The address of the request, without its query."""
        return self.origin(request) + _raw_path(request)

    def signed_url(self, request: Request) -> str:
        """The address of the request with its query, byte for byte: what a signature covers."""
        query = request.scope["query_string"].decode("latin-1")
        return self.here(request) + (f"?{query}" if query else "")

    def _is_proxied(self, request: Request) -> bool:
        if request.client is None or not self.proxies:
            return False
        try:
            address = ip_address(request.client.host)
        except ValueError:
            return False
        return any(address in network for network in self.proxies)


async def site_of(request: Request) -> Site:
    """The site that a request came to."""
    # Not a plain function: the framework would give it a thread, which takes longer than it does.
    site: Site = request.app.state.site
    return site


Here = Annotated[Site, Depends(site_of)]


def networks(texts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks, or single addresses, from the configuration; `ConfigError` names what is neither."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError as error:
            msg = f'The trusted proxy "{text}" is neither an address nor a network'
            raise ConfigError(msg, hint='Write "192.0.2.7" or "192.0.2.0/24"') from error
    return tuple(found)


def _last(request: Request, header: str) -> str:
    """The value that the nearest proxy has set or added: those before it anybody may have sent."""
    return ",".join(request.headers.getlist(header)).rpartition(",")[2].strip()


def _own_host(request: Request) -> str:
    host, port = request.scope.get("server") or ("localhost", None)
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{port}" if port else shown


def _raw_path(request: Request) -> str:
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")
