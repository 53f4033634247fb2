"""Collections of images, and the images in them: list, create, show, delete (API manual)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import WithJsonSchema

from imagefactory.builds.factory import Factory
from imagefactory.core.errors import RequestError
from imagefactory.core.images import BaseImage, Image, Status, TargetImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.store.rows import Claim, Summary
from imagefactory.web import views
from imagefactory.web.bodies import Body, Parsed
from imagefactory.web.negotiation import JSON, Negotiated
from imagefactory.web.oauth import client_of, is_stranger
from imagefactory.web.site import Here, Site

_LONG: Final = 1000  #: images that are listed faster than a thread is found for it
_PATIENCE: Final = timedelta(minutes=2)  #: no request takes so long, unless its process has died

Limit = Annotated[int | None, Query(ge=1, le=10_000, description="At most so many images")]
Marker = Annotated[
    str | None, Query(description="The id of the last image seen; those after it are listed")
]
Wanted = Annotated[Status | None, Query(description="Only images in this status")]
Label = Annotated[str, WithJsonSchema({"type": "string", "pattern": "="})]
Labels = Annotated[
    list[Label] | None,
    Query(description="Only images with this label, as `name=value`; repeatable"),
]
Key = Annotated[
    str | None,
    Header(
        max_length=255,
        description="The same key from the same client gives the same image, not a second build",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Collection:
    """The endpoints of one kind of image."""

    kind: type[Image]

    async def list(
        self,
        site: Here,
        request: Request,
        answer: Negotiated,
        *,
        limit: Limit = None,
        marker: Marker = None,
        status: Wanted = None,
        label: Labels = None,
    ) -> Response:
        """Lists the images, newest last; below a parent, those that were made from it."""
        look = partial(
            site.factory.images,
            self.kind,
            parent_id=_parent_id(request),
            status=status,
            labels=_labels(label or ()),
            limit=limit,
            marker=marker,
        )
        short = (limit or _LONG) < _LONG and not (status or label)
        images = look() if short else await run_in_threadpool(look)
        here = site.here(request)
        noun = self.kind.noun
        if answer.media == JSON:
            response = Response(views.listed_in_json(noun, images, here), media_type=JSON)
        else:
            response = answer(views.listed(noun, images, here))
        if limit is not None and len(images) == limit:
            response.headers["Link"] = _next(request, here, images[-1])
        return response

    def create(
        self,
        site: Here,
        request: Request,
        answer: Negotiated,
        body: Parsed,
        idempotency_key: Key = None,
    ) -> Response:
        """Begins to build an image; poll it, or follow its events, until it is COMPLETE or FAILED."""
        fields = {**request.path_params, **body.fields(self.kind.noun)}
        if idempotency_key is None:
            image = self._create(site.factory, fields)
        else:
            image = self._create_once(site, fields, client_of(request), idempotency_key)
        response = answer(views.created(image, site.here(request)), HTTPStatus.ACCEPTED)
        response.headers["Location"] = f"{site.root(request)}/{image.noun}s/{image.id}"
        return response

    async def show(
        self, site: Here, request: Request, answer: Negotiated, image_id: str
    ) -> Response:
        """Shows an image with its parent and its children."""
        # No thread: finding one takes longer than this does, and the two would wait for each other.
        family = site.factory.family(self.kind, image_id)
        return answer(
            views.detailed(
                family,
                site.here(request),
                root=site.root(request),
                secretive=is_stranger(request),
            )
        )

    def delete(self, site: Here, image_id: str, body: Parsed) -> Response:
        """Deletes an image, here and on its provider; one that is being built is cancelled first."""
        delete(site, image_id, body)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def _create_once(self, site: Site, fields: Mapping[str, Any], client: str, key: str) -> Image:
        store = site.factory.workshop.store
        claim = Claim(client=client, key=key)
        request = json.dumps({**fields, "": self.kind.noun}, sort_keys=True)
        image_id = store.claim(claim, request=request, patience=_PATIENCE)
        if image_id is not None:
            return site.factory.image(self.kind, image_id)
        try:
            return self._create(replace(site.factory, claim=claim), fields)
        finally:
            store.release(claim)

    def _create(self, factory: Factory, fields: Mapping[str, Any]) -> Image:
        template, parameters = fields.get("template"), _parameters(fields)
        if self.kind is BaseImage:
            return factory.create_base_image(template=template, parameters=parameters)
        if self.kind is TargetImage:
            return factory.create_target_image(
                target=fields.get("target"),
                base_image_id=fields.get("base_image_id"),
                template=template,
                parameters=parameters,
            )
        return factory.create_provider_image(
            provider=_definition(fields.get("provider")),
            credentials=_secret(fields.get("credentials")),
            target=fields.get("target"),
            target_image_id=fields.get("target_image_id"),
            template=template,
            parameters=parameters,
        )


def delete(site: Site, image_id: str, body: Body) -> None:
    """Delete an image by its id alone, as the original did: the collection in the path is not looked at."""
    fields = body.any_fields()
    parameters = _parameters(fields) or {}
    site.factory.delete(
        image_id,
        credentials=_secret(fields.get("credentials")),
        provider=_definition(fields.get("provider")),
        forget=Parameters(parameters).boolean("forget", default=False),
        callbacks=parameters.get("callbacks"),
    )


def _parent_id(request: Request) -> str | None:
    """The nearest parent in the path."""
    given = request.path_params
    parent: str | None = given.get("target_image_id") or given.get("base_image_id")
    return parent


def _labels(texts: Iterable[str]) -> dict[str, str]:
    labels = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            msg = f'The label "{text}" has no "=" between its name and its value'
            raise RequestError(msg)
        labels[name] = value
    return labels


def _next(request: Request, here: str, last: Summary) -> str:
    """The `Link` to the images after these (RFC 8288)."""
    query = [item for item in request.query_params.multi_items() if item[0] != "marker"]
    return f'<{here}?{urlencode([*query, ("marker", last.id)])}>; rel="next"'


def _parameters(fields: Mapping[str, Any]) -> Mapping[str, Any] | None:
    parameters = fields.get("parameters")
    if parameters is None or isinstance(parameters, Mapping):
        return parameters
    if parameters == "":
        return None  # a form's empty field
    msg = 'The value of "parameters" is not an object'
    raise RequestError(msg)


def _definition(value: object) -> object:
    """A provider: a text, or in JSON the object that the text would hold."""
    return json.dumps(value) if isinstance(value, Mapping) else value


def _secret(value: object) -> Secret | None:
    match value:
        case None | "":
            return None
        case str():
            return Secret(value)
        case Mapping():
            return Secret(json.dumps(value))
    msg = 'The value of "credentials" is not a text'
    raise RequestError(msg)
