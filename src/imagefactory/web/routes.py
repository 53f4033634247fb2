"""The table of routes: which address leads to which endpoint, and what the documentation says of it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI

from imagefactory.builds.factory import Factory
from imagefactory.core.images import KINDS, BaseImage, Image, ProviderImage, TargetImage
from imagefactory.web import about, docs, jeos, metrics, openapi, targets, templates
from imagefactory.web.control import Control
from imagefactory.web.images import Collection
from imagefactory.web.outputs import OCTETS, Outputs, verify_file
from imagefactory.web.routing import ACCEPT, CLIENT, READ, READER, Routes
from imagefactory.web.site import ROOT
from imagefactory.web.stream import EVENTS, Newest, Stream

_BASE: Final = "/base_images/{base_image_id}"
_TARGET: Final = "/target_images/{target_image_id}"
_PARENTS: Final = ("", _BASE, _BASE + _TARGET, _TARGET)
#: what the manual has; the other nestings answer too, as they always did, and are not documented
_DOCUMENTED: Final[Mapping[str, tuple[type[Image], ...]]] = {
    "": (BaseImage, TargetImage, ProviderImage),
    _BASE: (TargetImage,),
    _BASE + _TARGET: (ProviderImage,),
    _TARGET: (ProviderImage,),
}


def install(app: FastAPI, factory: Factory) -> None:
    """Add all routes of the API, and those beside it."""
    newest = Newest(factory)
    _about(Routes(app=app, tag="about"))
    _operations(Routes(app=app, prefix="", tag="operation"))
    _targets(Routes(app=app, tag="targets"))
    _templates(Routes(app=app, tag="templates"))
    Routes(app=app, tag="events").add(
        "/events",
        Stream(newest=newest).everything,
        methods=READ,
        guards=[READER],
        content={EVENTS: {}},
        errors=(400,),
    )
    Routes(app=app, tag="about").add(
        "/verify/{sha256}",
        verify_file,
        methods=READ,
        guards=[CLIENT, ACCEPT],
        content=openapi.shown("Verdict"),
        errors=(404,),
    )
    for parents in _PARENTS:
        for kind in KINDS.values():
            name = "_of_".join(
                [kind.noun, *(word for word in ("target", "base") if f"/{word}_" in parents)]
            )
            routes = Routes(
                app=app,
                prefix=f"{ROOT}{parents}/{kind.noun}s",
                documented=kind in _DOCUMENTED[parents],
                tag=f"{kind.noun}s",
                name=name,
            )
            _collection(routes, kind)
            _image(routes, kind)
            if routes.documented:
                _control(routes, kind)
                _files(routes, kind, newest)
                _records(routes, kind)


def _about(routes: Routes) -> None:
    routes.add("", about.version, methods=READ, guards=[ACCEPT], content=openapi.shown("Version"))
    routes.add(
        "/plugins",
        about.list_plugins,
        methods=READ,
        guards=[READER, ACCEPT],
        content=openapi.shown("Plugins"),
    )
    routes.add(
        "/plugins/{plugin_id}",
        about.show_plugin,
        methods=READ,
        guards=[READER, ACCEPT],
        content=openapi.shown("Plugin"),
        errors=(404,),
    )
    page = {"text/html": {"schema": {"type": "string"}}}
    document = {"application/json": {"schema": {"type": "object"}}}
    routes.add("/openapi.json", docs.document, methods=READ, guards=[], content=document)
    routes.add("/docs", docs.page, methods=READ, guards=[], content=page)
    hidden = Routes(app=routes.app, documented=False)
    hidden.add("/plugins/", about.list_plugins, methods=READ, guards=[READER, ACCEPT])
    hidden.add("/plugins/{plugin_id}", about.delete_plugin, methods=["DELETE"], guards=[CLIENT])


def _operations(routes: Routes) -> None:
    health = {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}}
    routes.add("/healthz", about.health, methods=READ, guards=[], content=health)
    routes.add(
        "/readyz", about.readiness, methods=READ, guards=[], content=health, others={503: health}
    )
    figures = {"text/plain": {"schema": {"type": "string"}}}
    routes.add("/metrics", metrics.show, methods=READ, guards=[], content=figures)


def _targets(routes: Routes) -> None:
    for path, endpoint, name, errors in (
        ("/targets", targets.list_targets, "Targets", ()),
        ("/targets/{target_id}", targets.show_target, "Target", (404,)),
        ("/targets/{target_id}/providers", targets.list_providers, "Providers", (404,)),
        (
            "/targets/{target_id}/providers/{provider_id}",
            targets.show_provider,
            "Provider",
            (404,),
        ),
    ):
        routes.add(
            path,
            endpoint,
            methods=READ,
            guards=[READER, ACCEPT],
            content=openapi.shown(name),
            errors=errors,
        )
    for path, listing, name in (
        ("/jeos", jeos.list_sources, "Jeos"),
        ("/jeos/images", jeos.list_images, "JeosImages"),
    ):
        routes.add(path, listing, methods=READ, guards=[ACCEPT], content=openapi.shown(name))
    routes.add("/jeos/images/{image_id}", jeos.show_image, methods=READ, guards=[], status=501)


def _templates(routes: Routes) -> None:
    routes.add(
        "/templates/check",
        templates.check,
        methods=["POST"],
        guards=[CLIENT, ACCEPT],
        content=openapi.shown("TemplateCheck"),
        errors=(400,),
        body=openapi.template_body(),
    )
    routes.add(
        "/templates/lock",
        templates.lock,
        methods=["POST"],
        guards=[CLIENT],
        content={"application/json": {"schema": {"type": "object"}}},
        errors=(400, 502, 504),
        body=openapi.template_body(),
    )


def _collection(routes: Routes, kind: type[Image]) -> None:
    images = Collection(kind=kind)
    routes.add(
        "",
        images.list,
        methods=READ,
        guards=[READER, ACCEPT],
        content=openapi.shown(f"{kind.kind}List"),
        errors=(400, 404),
    )
    routes.add(
        "",
        images.create,
        methods=["POST"],
        guards=[CLIENT, ACCEPT],
        status=HTTPStatus.ACCEPTED,
        content=openapi.shown(f"{kind.kind}Created"),
        errors=(400, 404, 409),
        body=openapi.wrapped_body(kind.noun, f"{kind.kind}Request", required=True),
    )


def _image(routes: Routes, kind: type[Image]) -> None:
    images = Collection(kind=kind)
    routes.add(
        "/{image_id}",
        images.show,
        methods=READ,
        guards=[READER, ACCEPT],
        content=openapi.shown(f"{kind.kind}Detail"),
        errors=(404,),
    )
    routes.add(
        "/{image_id}",
        images.delete,
        methods=["DELETE"],
        guards=[CLIENT, ACCEPT],
        status=HTTPStatus.NO_CONTENT,
        errors=(400, 404, 409),
        body=openapi.wrapped_body(kind.noun, "DeleteRequest", required=False),
    )


def _control(routes: Routes, kind: type[Image]) -> None:
    control = Control(kind=kind)
    for word, endpoint in (("cancel", control.cancel), ("retry", control.retry)):
        routes.add(
            f"/{{image_id}}/{word}",
            endpoint,
            methods=["POST"],
            guards=[CLIENT, ACCEPT],
            status=HTTPStatus.ACCEPTED,
            content=openapi.shown(f"{kind.kind}Created"),
            errors=(404, 409),
        )


def _files(routes: Routes, kind: type[Image], newest: Newest) -> None:
    outputs = Outputs(kind=kind)
    octets = {OCTETS: {"schema": {"type": "string", "format": "binary"}}}
    lines = {"text/plain": {"schema": {"type": "string"}}}
    routes.add(
        "/{image_id}/raw_image",
        outputs.body,
        methods=READ,
        guards=[CLIENT],
        content=octets,
        errors=(404, 409, 416),
    )
    routes.add(
        "/{image_id}/log",
        outputs.log,
        methods=READ,
        guards=[CLIENT],
        content=lines,
        errors=(400, 404),
    )
    routes.add(
        "/{image_id}/events",
        Stream(newest=newest, kind=kind).of_image,
        methods=READ,
        guards=[READER],
        content={EVENTS: {}},
        errors=(400, 404),
    )


def _records(routes: Routes, kind: type[Image]) -> None:
    """What a build has left beside the body, and what can be told by it."""
    outputs = Outputs(kind=kind)
    routes.add(
        "/{image_id}/artifacts",
        outputs.artifacts,
        methods=READ,
        guards=[CLIENT, ACCEPT],
        content=openapi.shown("Artifacts"),
        errors=(404,),
    )
    routes.add(
        "/{image_id}/artifacts/{name}",
        outputs.artifact,
        methods=READ,
        guards=[CLIENT],
        content={"*/*": {}},
        errors=(404, 416),
    )
    routes.add(
        "/{image_id}/verify",
        outputs.verify,
        methods=READ,
        guards=[CLIENT, ACCEPT],
        content=openapi.shown("Verdict"),
        errors=(404,),
    )
    routes.add(
        "/{image_id}/diff/{other_id}",
        outputs.diff,
        methods=READ,
        guards=[CLIENT, ACCEPT],
        content=openapi.shown("Difference"),
        errors=(404,),
    )
