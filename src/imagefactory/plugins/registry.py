"""Which plugin serves which target, found through the entry points of installed packages."""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Final

from imagefactory.core.config import Config
from imagefactory.core.errors import ConfigError, FactoryError, RequestError
from imagefactory.plugins.contract import Cloud, System

log = logging.getLogger(__name__)

SYSTEMS: Final = "imagefactory.systems"
CLOUDS: Final = "imagefactory.clouds"

#: what a foreign module can raise while it is imported and its class is called
_FAULTS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    FactoryError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)

Plugin = System | Cloud[Any]
Row = tuple[str | None, ...]
Discover = Callable[[str], Iterable[metadata.EntryPoint]]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A plugin that is installed and cannot be used, and what it said."""

    id: str  #: the entry point's name
    message: str


@dataclass(frozen=True, kw_only=True)
class Registry:
    """The plugins of a running factory. `load` makes it, once, with the configuration."""

    systems: Sequence[System] = ()
    clouds: Sequence[Cloud[Any]] = ()
    failures: Sequence[Failure] = ()

    def system(self, name: str, version: str | None, arch: str | None) -> System:
        """The plugin with the most specific target: any version comes after any architecture.

        `RequestError` when none builds such a system.
        """
        served = {target: system for system in self.systems for target in system.targets}
        for target in ((name, version, arch), (name, version, None), (name, None, None)):
            if target in served:
                return served[target]
        msg = f'No plugin builds the system "{_text((name, version, arch))}"'
        raise RequestError(msg, hint=_hint(self.systems))

    def cloud(self, target: str) -> Cloud[Any]:
        """The plugin of a target; `RequestError` when there is none.

        The sentence is the original's to the letter, though no file of that kind is read any more:
        programs compare it. What can be done about it is the hint.
        """
        for cloud in self.clouds:
            if target in cloud.targets:
                return cloud
        msg = f"No plugin .info file loaded for target: {target}"
        raise RequestError(msg, hint=_hint(self.clouds))

    def infos(self) -> list[dict[str, Any]]:
        """What `GET /plugins` shows, `_type` and `href` aside: one mapping for each plugin."""
        plugins: list[Plugin] = [*self.systems, *self.clouds]
        shown = [_shown(plugin) for plugin in plugins]
        return shown + [{"ERROR": failure.message, "id": failure.id} for failure in self.failures]


def installed(group: str) -> Iterable[metadata.EntryPoint]:
    """The entry points of one group, in an order that does not depend on the installation."""
    return sorted(metadata.entry_points(group=group), key=lambda entry: (entry.name, entry.value))


def load(config: Config, *, discover: Discover = installed, when_asked: bool = False) -> Registry:
    """All installed plugins, each made with the configuration.

    One that cannot be imported is listed with its error. `ConfigError` when two serve one target or
    bear one id, since which of them works would be chance. With `when_asked`, the clouds are imported when
    somebody asks for one: a base image needs none, and they take a fifth of a second.
    """
    failures: list[Failure] = []
    systems = _made(discover(SYSTEMS), config, failures)

    def clouds() -> Sequence[Any]:
        made = _made(discover(CLOUDS), config, failures)
        both: list[Plugin] = [*systems, *made]
        _refuse_shared("serve the target", both, of=_rows)
        _refuse_shared("have the id", both, of=lambda plugin: [(plugin.info.id,)])
        return made

    later = _Later(clouds)
    return Registry(systems=systems, clouds=later if when_asked else later[:], failures=failures)


class _Later(Sequence[Any]):
    """Plugins that are made when they are first looked at."""

    def __init__(self, make: Callable[[], Sequence[Any]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: Sequence[Any] | None = None

    def __getitem__(self, index: Any) -> Any:
        return self._plugins[index]

    def __len__(self) -> int:
        return len(self._plugins)

    @property
    def _plugins(self) -> Sequence[Any]:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made


def _made(
    entries: Iterable[metadata.EntryPoint], config: Config, failures: list[Failure]
) -> tuple[Any, ...]:
    plugins = []
    for entry in entries:
        try:
            plugins.append(entry.load()(config))
        except _FAULTS as error:
            message = f"Loading plugin ({entry.name}) failed with exception: {error}"
            log.exception("The plugin %s cannot be used", entry.value)
            failures.append(Failure(id=entry.name, message=message))
    return tuple(plugins)


def _refuse_shared(
    what: str, plugins: Iterable[Plugin], *, of: Callable[[Plugin], Iterable[Row]]
) -> None:
    owners: dict[Row, str] = {}
    for plugin in plugins:
        origin = f"{type(plugin).__module__}.{type(plugin).__qualname__}"
        for claim in set(of(plugin)):
            if claim in owners:
                msg = f'The plugins "{owners[claim]}" and "{origin}" both {what} "{_text(claim)}"'
                raise ConfigError(msg, hint="Uninstall the package that brings one of them")
            owners[claim] = origin


def _shown(plugin: Plugin) -> dict[str, Any]:
    return {**asdict(plugin.info), "targets": [list(row) for row in _rows(plugin)]}


def _rows(plugin: Plugin) -> list[Row]:
    """Targets as the API shows them: one element for a cloud's, three for a system's."""
    return [(target,) if isinstance(target, str) else target for target in plugin.targets]


def _text(row: Row) -> str:
    """A target as people read it; what may be anything is left out."""
    return " ".join(part for part in row if part)


def _hint(plugins: Iterable[Plugin]) -> str:
    names = sorted((_text(row) for plugin in plugins for row in _rows(plugin)), key=str.casefold)
    if not names:
        return "No plugin is installed"
    return "These are served: " + ", ".join(f'"{name}"' for name in names)
