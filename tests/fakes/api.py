"""The API over a small factory: real store, real worker, installed plugins, jobs done when a test says so."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.testclient import TestClient

from fakes.shop import Shop
from fakes.work import Inbox
from imagefactory.builds.factory import Factory
from imagefactory.builds.worker import Worker
from imagefactory.builds.workshop import Workshop
from imagefactory.core.config import Config
from imagefactory.core.secret import Secret
from imagefactory.store.nonces import Nonces
from imagefactory.web.app import make_app

HOST: Final = "http://factory.example.org:8075"
ROOT: Final = f"{HOST}/imagefactory"
CLIENTS: Final = {"client1": Secret("our-secret"), "client2": Secret("just-between-us")}
TDL: Final = (
    "<template>\n <name>f17jeos</name>\n <os>\n <rootpw>changeme</rootpw>\n <name>MockOS_A</name>\n"
    " <version>17</version>\n <arch>x86_64</arch>\n <install type='url'>\n"
    " <url>http://mirror.example.org/os/</url>\n </install>\n </os>\n"
    " <description>Mock 17</description>\n </template>"
)


@dataclass(frozen=True, kw_only=True)
class Api:
    """The application, a client of it, and the factory behind it."""

    app: FastAPI
    http: TestClient
    shop: Shop

    def at(self, address: str) -> TestClient:
        """A client somewhere else, such as a proxy."""
        return TestClient(self.app, base_url=HOST, client=(address, 1234))

    def post(self, path: str, noun: str, **fields: Any) -> dict[str, Any]:
        """The image that a POST in JSON makes."""
        answer = self.http.post(ROOT + path, json={noun: fields})
        assert answer.status_code == 202, answer.text
        image: dict[str, Any] = answer.json()[noun]
        return image

    def built(self, path: str, noun: str, **fields: Any) -> dict[str, Any]:
        """The same, when its build has ended."""
        image = self.post(path, noun, **fields)
        self.shop.work()
        shown: dict[str, Any] = self.http.get(f"{ROOT}/{noun}s/{image['id']}").json()[noun]
        return shown

    def cascade(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """A base, a target and a provider image, all complete."""
        base = self.built("/base_images", "base_image", template=TDL)
        target = self.built(
            "/target_images", "target_image", target="mock", base_image_id=base["id"]
        )
        provider = self.built(
            "/provider_images",
            "provider_image",
            target="mock",
            provider="mock-1",
            credentials="<provider_credentials/>",
            target_image_id=target["id"],
        )
        return base, target, provider


def taken() -> Future[None]:
    """A stock that has been taken."""
    stock: Future[None] = Future()
    stock.set_result(None)
    return stock


@contextmanager
def an_api(state: Path, *, stock: Future[None] | None = None, **settings: Any) -> Iterator[Api]:
    """An API whose files lie in this folder, without OAuth unless the settings say otherwise."""
    config = Config.parse({"state": state, "no_oauth": True, **settings})
    with Workshop.open(config) as opened, Nonces.open(config.state / "nonces.db") as nonces:
        inbox = Inbox()
        workshop = replace(opened, work=inbox)
        shop = Shop(
            workshop=workshop,
            factory=Factory(workshop=workshop),
            worker=Worker(workshop),
            inbox=inbox,
        )
        app = make_app(shop.factory, clients=CLIENTS, nonces=nonces, stock=stock or taken())
        with TestClient(app, base_url=HOST, raise_server_exceptions=False) as http:
            yield Api(app=app, http=http, shop=shop)
