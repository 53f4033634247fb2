"""One small factory for a test: the real store, fake plugins, jobs done when the test says so."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fakes.plugins import fake_registry
from fakes.work import Inbox
from imagefactory.builds.factory import Factory
from imagefactory.builds.worker import Worker
from imagefactory.builds.workshop import Workshop
from imagefactory.core.config import Config


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A factory, its worker, and the jobs between them."""

    workshop: Workshop
    factory: Factory
    worker: Worker
    inbox: Inbox

    @property
    def state(self) -> Path:
        return self.workshop.config.state

    def work(self) -> None:
        """Do all that there is to do."""
        self.inbox.drain(self.worker.perform)


@contextmanager
def a_shop(state: Path, **settings: Any) -> Iterator[Shop]:
    """A shop whose files lie in this folder."""
    config = Config(state=state, **settings)
    with Workshop.open(config, plugins=fake_registry(config)) as opened:
        inbox = Inbox()
        workshop = replace(opened, work=inbox)
        yield Shop(
            workshop=workshop,
            factory=Factory(workshop=workshop),
            worker=Worker(workshop),
            inbox=inbox,
        )
