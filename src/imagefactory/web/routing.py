"""Adds a route with its guards, and with all that its documentation needs."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from fastapi import Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute

from imagefactory.web import openapi
from imagefactory.web.negotiation import negotiate
from imagefactory.web.oauth import authenticate, authenticate_reader
from imagefactory.web.site import ROOT, site_of

READ: Final = ["GET", "HEAD"]
CLIENT: Final = Depends(authenticate)  #: always signed
READER: Final = Depends(authenticate_reader)  #: signed, unless reads are open
ACCEPT: Final = Depends(negotiate)

Direct = Callable[[Request], Mapping[str, Any] | None]
"""What an endpoint is given of a request beside the site and how to answer; None leaves that to FastAPI."""


@dataclass(frozen=True, kw_only=True)
class Routes:
    """Adds routes to an application; `prefix` and `name` tell nested ones from each other."""

    app: FastAPI
    prefix: str = ROOT
    documented: bool = True
    tag: str = "images"
    name: str = ""

    def add(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        methods: list[str],
        guards: list[Any],
        status: int = HTTPStatus.OK,
        content: Mapping[str, Any] | None = None,
        errors: tuple[int, ...] = (),
        others: Mapping[int, Mapping[str, Any]] = MappingProxyType({}),
        body: Mapping[str, Any] | None = None,
        direct: Direct | None = None,
    ) -> None:
        """A route; `guards` run before the endpoint, in this order.

        With `direct`, which is for the guards `READER` and `ACCEPT`, requests that it understands do
        not go through FastAPI's dependencies; see `_polled`.
        `others` are statuses that are no errors, and what they come with.
        """
        protected = CLIENT in guards or READER in guards
        if protected:
            errors = (401, *errors)
        if ACCEPT in guards:
            errors = (406, *errors)
        success: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if content is not None:
            success["content"] = content
        extra: dict[str, Any] = {"security": [{"oauth": []}]} if protected else {}
        self.app.router.add_api_route(
            self.prefix + path,
            endpoint,
            methods=methods,
            dependencies=guards,
            status_code=status,
            response_class=Response,
            response_model=None,
            responses={status: success, **openapi.failures(*errors), **_described(others)},
            openapi_extra={**extra, **(body or {})},
            operation_id=f"{endpoint.__name__}_{self.name}".rstrip("_"),
            tags=[self.tag],
            include_in_schema=self.documented,
            route_class_override=None if direct is None else _polled(direct),
        )


def _polled(direct: Direct) -> type[APIRoute]:
    """Calls the endpoint itself where `direct` knows how: to find that out takes FastAPI as long as the answer.

    What it documents, and all other requests, are as ever.
    """

    class Polled(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            solve, endpoint = super().get_route_handler(), self.endpoint

            async def handle(request: Request) -> Response:
                given = direct(request)
                if given is None:
                    return await solve(request)
                await authenticate_reader(request)
                answer = await negotiate(request)
                response: Response = await endpoint(
                    site=await site_of(request), request=request, answer=answer, **given
                )
                return response

            return handle

    return Polled


def _described(others: Mapping[int, Mapping[str, Any]]) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status, content in others.items()
    }
