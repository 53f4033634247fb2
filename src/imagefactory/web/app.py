"""The web application, made from a factory."""

from collections.abc import Mapping
from concurrent.futures import Future

from fastapi import FastAPI

from imagefactory import __version__
from imagefactory.builds.factory import Factory
from imagefactory.core.secret import Secret
from imagefactory.store.nonces import Nonces
from imagefactory.web import errors, metrics, routes
from imagefactory.web.shortcut import Shortcut
from imagefactory.web.signatures import Signatures
from imagefactory.web.site import Site, networks
from imagefactory.web.turns import Turns


def make_app(
    factory: Factory, *, clients: Mapping[str, Secret], nonces: Nonces, stock: Future[None]
) -> FastAPI:
    """An ASGI application that serves the API over this factory to these OAuth clients.

    Nobody is answered about images before the `stock` is taken, or when that fails with `StoreError`.
    `ConfigError` when the configuration names a proxy that is none.
    """
    config = factory.workshop.config
    app = FastAPI(
        title="Image Factory",
        version=__version__,
        redirect_slashes=False,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.site = Site(
        factory=factory,
        config=config,
        signatures=Signatures(clients=clients, plaintext=config.oauth_plaintext),
        nonces=Turns(nonces),
        proxies=networks(config.trusted_proxies),
        stock=stock,
    )
    app.state.metrics = metrics.registry_of(factory)
    app.add_middleware(Shortcut)  # within the next, so that these requests are measured too
    app.add_middleware(metrics.Measured, registry=app.state.metrics)
    errors.install(app)
    routes.install(app, factory)
    return app
