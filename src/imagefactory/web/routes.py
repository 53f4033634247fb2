"""The routes of the API, version 2: parse, call the factory, show (API manual, "Resources")."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse

from imagefactory import __version__
from imagefactory.builds.factory import Factory
from imagefactory.core.errors import Conflict, NotFound, RequestError
from imagefactory.core.images import KINDS, BaseImage, Image, Status, TargetImage
from imagefactory.core.secret import Secret
from imagefactory.web import bodies, views

ROOT: Final = "/imagefactory"
_PARENTS: Final = (
    "",
    "/base_images/{base_image_id}",
    "/base_images/{base_image_id}/target_images/{target_image_id}",
    "/target_images/{target_image_id}",
)
_READ: Final = ["GET", "HEAD"]

Parsed = Annotated[bodies.Body, Depends(bodies.read)]


def router(factory: Factory) -> APIRouter:
    """All routes, over this factory."""
    api = APIRouter(prefix=ROOT)
    _add_plugins(api, factory)
    for parents in _PARENTS:
        _add_collection(api, factory, parents + "/{collection}")
        _add_image(api, factory, parents + "/{collection}/{image_id}")
    return api


def _add_plugins(api: APIRouter, factory: Factory) -> None:
    @api.api_route("", methods=_READ)
    def version() -> dict[str, str]:
        return {"name": "imagefactory", "version": __version__, "api_version": "2.0"}

    @api.api_route("/plugins", methods=_READ)
    @api.api_route("/plugins/", methods=_READ, include_in_schema=False)
    def list_plugins(request: Request) -> dict[str, Any]:
        return {"plugins": [views.plugin(info, _root(request)) for info in factory.plugins()]}

    @api.api_route("/plugins/{plugin_id}", methods=_READ)
    def show_plugin(request: Request, plugin_id: str) -> dict[str, Any]:
        return views.plugin(factory.plugin(plugin_id), _root(request))


def _add_collection(api: APIRouter, factory: Factory, path: str) -> None:
    @api.api_route(path, methods=_READ)
    def list_images(request: Request, collection: str) -> dict[str, Any]:
        kind = _kind(collection)
        given = request.path_params
        parent = given.get("target_image_id") or given.get("base_image_id")
        images = factory.images(kind, parent_id=parent)
        return views.listed(kind.noun, images, _here(request))

    @api.post(path, status_code=HTTPStatus.ACCEPTED)
    def create_image(request: Request, collection: str, body: Parsed) -> dict[str, Any]:
        kind = _kind(collection)
        fields = {**request.path_params, **body.fields(kind.noun)}
        return views.created(_create(factory, kind, fields), _here(request))


def _add_image(api: APIRouter, factory: Factory, path: str) -> None:
    @api.api_route(path, methods=_READ)
    def show_image(request: Request, collection: str, image_id: str) -> dict[str, Any]:
        image = factory.image(_kind(collection), image_id)
        return views.detailed(
            image, _here(request), root=_root(request), relatives=_relatives(factory, image)
        )

    @api.delete(path, status_code=HTTPStatus.NO_CONTENT)
    def delete_image(image_id: str, body: Parsed) -> Response:
        fields = body.values if body.flat else body.fields(next(iter(body.values), ""))
        credentials = fields.get("credentials")
        factory.delete(image_id, credentials=Secret(credentials) if credentials else None)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    @api.api_route(path + "/raw_image", methods=_READ)
    def raw_image(collection: str, image_id: str) -> FileResponse:
        image = factory.image(_kind(collection), image_id)
        if image.status is not Status.COMPLETE:
            msg = f'The image "{image_id}" is "{image.status}" and has no body to download'
            raise Conflict(msg)
        return FileResponse(
            factory.body(image_id),
            media_type="application/octet-stream",
            filename=f"{image_id}.body",
        )

    @api.api_route(path + "/log", methods=_READ)
    def show_log(
        collection: str, image_id: str, offset: Annotated[int, Query(ge=0)] = 0
    ) -> PlainTextResponse:
        factory.image(_kind(collection), image_id)
        return PlainTextResponse(_from(factory.log_file(image_id), offset))

    @api.post(path + "/cancel", status_code=HTTPStatus.ACCEPTED)
    def cancel_image(collection: str, image_id: str) -> JSONResponse:
        image = factory.image(_kind(collection), image_id)
        factory.cancel(image.id)
        return JSONResponse({}, HTTPStatus.ACCEPTED)

    @api.post(path + "/retry", status_code=HTTPStatus.ACCEPTED)
    def retry_image(collection: str, image_id: str) -> JSONResponse:
        image = factory.image(_kind(collection), image_id)
        factory.retry(image.id)
        return JSONResponse({}, HTTPStatus.ACCEPTED)


def _create(factory: Factory, kind: type[Image], fields: Mapping[str, Any]) -> Image:
    template, parameters = fields.get("template"), fields.get("parameters")
    if parameters is not None and not isinstance(parameters, Mapping):
        msg = 'The value of "parameters" is not an object'
        raise RequestError(msg)
    if kind is BaseImage:
        return factory.create_base_image(template=template, parameters=parameters)
    if kind is TargetImage:
        return factory.create_target_image(
            target=fields.get("target"),
            base_image_id=fields.get("base_image_id"),
            template=template,
            parameters=parameters,
        )
    credentials = fields.get("credentials")
    return factory.create_provider_image(
        provider=fields.get("provider"),
        credentials=None if credentials is None else Secret(str(credentials)),
        target=fields.get("target"),
        target_image_id=fields.get("target_image_id"),
        template=template,
        parameters=parameters,
    )


def _relatives(factory: Factory, image: Image) -> dict[str, Image | list[Image] | None]:
    relatives: dict[str, Image | list[Image] | None] = {}
    if word := views.parent_word(image):
        relatives[word] = factory.find(image.parent_id) if image.parent_id else None
    if child := views.child_kind(image):
        relatives[f"{child.noun}s"] = list(factory.images(child, parent_id=image.id))
    return relatives


def _kind(collection: str) -> type[Image]:
    kind = KINDS.get(collection.removesuffix("s")) if collection.endswith("s") else None
    if kind is None:
        msg = f"{collection} not found"
        raise NotFound(msg)
    return kind


def _from(file: Path, offset: int) -> str:
    if not file.exists():
        return ""
    with file.open("rb") as log:
        log.seek(offset)
        return log.read().decode(errors="replace")


def _root(request: Request) -> str:
    return str(request.base_url).rstrip("/") + ROOT


def _here(request: Request) -> str:
    return str(request.url.replace(query="")).rstrip("/")
