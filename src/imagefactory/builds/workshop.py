"""What the factory and its workers share: opened once in a process, from the configuration."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from imagefactory.builds.durable import DurableWork
from imagefactory.builds.executors import Executors
from imagefactory.builds.inclusions import inclusions
from imagefactory.builds.planner import Planner
from imagefactory.builds.receivers import networks
from imagefactory.builds.work import Work
from imagefactory.core.config import Config
from imagefactory.engine.addresses import Network
from imagefactory.plugins import registry
from imagefactory.plugins.registry import Registry
from imagefactory.store.bodies import Bodies
from imagefactory.store.database import Store
from imagefactory.store.importing import import_original
from imagefactory.store.vault import Vault


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """The store, the plugins and the durable work of one state folder."""

    config: Config
    store: Store
    bodies: Bodies
    vault: Vault
    planner: Planner
    work: Work
    #: where receivers of callbacks may be, beside global addresses
    callback_networks: tuple[Network, ...]

    @classmethod
    @contextmanager
    def open(
        cls,
        config: Config,
        *,
        private_to: str | None = None,
        plugins: Registry | None = None,
        stocked: bool = True,
    ) -> Iterator[Self]:
        """A workshop while the block runs. `ConfigError` or `StoreError` when there is something wrong.

        With `private_to`, jobs handed in are for the executor of that name alone. The plugins are the
        installed ones, unless others are given. Without `stocked`, somebody else calls `take_stock`.
        """
        plugins = plugins or registry.load(config, when_asked=private_to is not None)
        content = inclusions(config)
        callback_networks = networks(config)
        store = Store.open(config.state / "imagefactory.db")
        work = DurableWork(work_file(config), executors=executors(config), private_to=private_to)
        try:
            workshop = cls(
                config=config,
                store=store,
                bodies=Bodies.open(config),
                vault=Vault.open(store, config.state / "vault.key"),
                planner=Planner(registry=plugins, content=content),
                work=work,
                callback_networks=callback_networks,
            )
            if stocked:
                workshop.take_stock()
            yield workshop
        finally:
            work.close()
            store.close()

    def take_stock(self) -> None:
        """Tidy the storage folder, and record the images that only it knows. Slow where there are very many."""
        self.bodies.sweep()
        import_original(self.store, self.bodies)


def work_file(config: Config) -> Path:
    """The database of the durable engine."""
    return config.state / "work.db"


def executors(config: Config) -> Executors:
    """The processes that work for this state folder."""
    return Executors(folder=config.state / "executors")
