"""Adds a route with its guards, and with all that its documentation needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from fastapi import Depends, FastAPI, Response

from imagefactory.web import openapi
from imagefactory.web.negotiation import negotiate
from imagefactory.web.oauth import authenticate, authenticate_reader
from imagefactory.web.site import ROOT

READ: Final = ["GET", "HEAD"]
CLIENT: Final = Depends(authenticate)  #: always signed
READER: Final = Depends(authenticate_reader)  #: signed, unless reads are open
ACCEPT: Final = Depends(negotiate)


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
    ) -> None:
        """A route; `guards` run before the endpoint, in this order.

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
        )


def _described(others: Mapping[int, Mapping[str, Any]]) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status, content in others.items()
    }
