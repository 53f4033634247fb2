"""What the API says of itself: its version, and the plugins that it builds and pushes with."""

from http import HTTPStatus

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from imagefactory import __version__
from imagefactory.builds.workshop import executors
from imagefactory.core.errors import NotFound
from imagefactory.web import views
from imagefactory.web.negotiation import Negotiated
from imagefactory.web.site import Here


def version(answer: Negotiated) -> Response:
    """The versions of the program and of this API."""
    return answer(
        {"name": "imagefactory", "version": __version__, "api_version": "2.0"}, root="imagefactory"
    )


def list_plugins(site: Here, request: Request, answer: Negotiated) -> Response:
    """Lists the plugins, those that could not be loaded included."""
    root = site.root(request)
    return answer({"plugins": [views.plugin(info, root) for info in site.factory.plugins()]})


def show_plugin(site: Here, request: Request, answer: Negotiated, plugin_id: str) -> Response:
    """Shows a plugin."""
    view = views.plugin(site.factory.plugin(plugin_id), site.root(request))
    return answer(view, root="plugin")


def delete_plugin(plugin_id: str) -> Response:
    """Not possible; the answer is the original's, which took any word for a collection of images."""
    msg = f"No image found with id: {plugin_id}"
    raise NotFound(msg)


def health() -> Response:
    """Whether the process answers."""
    return JSONResponse({"status": "ok"})


def readiness(site: Here) -> Response:
    """Whether requests will be carried out: the store and the durable engine answer, and a worker lives."""
    if not site.stock.done():
        status = "The storage folder is still being looked through"
        return JSONResponse({"status": status}, HTTPStatus.SERVICE_UNAVAILABLE)
    site.stock.result()
    site.factory.workshop.store.last_event()
    site.factory.workshop.work.counts()
    if not executors(site.config).any_alive():
        return JSONResponse({"status": "No worker is alive"}, HTTPStatus.SERVICE_UNAVAILABLE)
    return JSONResponse({"status": "ok"})
