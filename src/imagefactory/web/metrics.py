"""What is measured of a running daemon, in the words of Prometheus."""

import shutil
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

from fastapi import Request, Response
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagefactory.builds.factory import Factory
from imagefactory.core.images import Status

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)  #: seconds


class Measured:
    """An application whose requests are counted and timed, by route, from their arrival to their status."""

    def __init__(self, app: ASGIApp, *, registry: CollectorRegistry) -> None:
        self._app = app
        self._seconds = Histogram(
            "imagefactory_http_request_seconds",
            "Time until a request had its status",
            ["method", "route", "status"],
            registry=registry,
            buckets=_BUCKETS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification, 3.0."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Addresses that do not exist, and methods, are the clients' to choose: no end of them.
                route = getattr(scope.get("route"), "path", "")
                method = scope["method"] if route else ""
                labels = method, route, str(message["status"])
                self._seconds.labels(*labels).observe(time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, note)


class Stock(Collector):
    """Images, jobs and room, as they are when somebody asks."""

    def __init__(self, factory: Factory) -> None:
        self._factory = factory

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client`'s custom collectors."""
        yield from self._images()
        yield self._jobs()
        yield self._free()

    def _images(self) -> Iterator[Metric]:
        images = GaugeMetricFamily("imagefactory_images", "Images", labels=["kind", "status"])
        built = SummaryMetricFamily(
            "imagefactory_build_seconds", "From the request to COMPLETE", labels=["kind"]
        )
        for tally in self._factory.workshop.store.tallies():
            images.add_metric([tally.kind, tally.status], tally.count)
            if tally.status is Status.COMPLETE:
                built.add_metric([tally.kind], count_value=tally.count, sum_value=tally.seconds)
        yield images
        yield built
        size = self._factory.workshop.store.bytes_of_bodies()
        yield GaugeMetricFamily("imagefactory_body_bytes", "Bytes of all bodies", value=size)

    def _jobs(self) -> Metric:
        jobs = GaugeMetricFamily("imagefactory_jobs", "Jobs under way", labels=["state"])
        for state, count in self._factory.workshop.work.counts().items():
            jobs.add_metric([state], count)
        return jobs

    def _free(self) -> Metric:
        config = self._factory.workshop.config
        free = GaugeMetricFamily(
            "imagefactory_free_bytes",
            "Bytes that a folder's file system has left",
            labels=["folder"],
        )
        for name, folder in (("storage", config.storage), ("cache", config.cache)):
            if folder.is_dir():
                free.add_metric([name], shutil.disk_usage(folder).free)
        return free


def registry_of(factory: Factory) -> CollectorRegistry:
    """A registry of the application's own, which knows what `Stock` says."""
    registry = CollectorRegistry()
    registry.register(Stock(factory))
    return registry


def show(request: Request) -> Response:
    """Counters and gauges of this daemon, for Prometheus."""
    text = generate_latest(request.app.state.metrics)
    return Response(text, HTTPStatus.OK, headers={"Content-Type": TEXT})
