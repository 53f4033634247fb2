"""The web application, made from a factory."""

from fastapi import FastAPI

from imagefactory import __version__
from imagefactory.builds.factory import Factory
from imagefactory.web import errors, routes


def make_app(factory: Factory) -> FastAPI:
    """An ASGI application that serves the API over this factory."""
    app = FastAPI(title="Image Factory", version=__version__, redirect_slashes=False)
    app.state.config = factory.workshop.config
    errors.install(app)
    app.include_router(routes.router(factory))

    @app.get("/healthz", include_in_schema=False)
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    return app
