"""The registry finds the plugin that a target means, and outlives broken ones."""

from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from imagefactory.clouds.mock import MockCloud
from imagefactory.core.config import Config
from imagefactory.core.errors import ConfigError, RequestError
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Info, SystemTarget
from imagefactory.plugins.registry import CLOUDS, SYSTEMS, Registry, load
from imagefactory.systems.mock import MockOS

HERE = __name__


class System(MockOS):
    """A system whose name and targets each test chooses."""

    name: str = "System"
    served: Sequence[SystemTarget] = ()

    @property
    def info(self) -> Info:
        return info(self.name, "os", "A system of these tests")

    @property
    def targets(self) -> Sequence[SystemTarget]:
        return self.served


def serving(name: str, *targets: SystemTarget) -> System:
    system = System(Config())
    system.name = name
    system.served = targets
    return system


class Rival(MockCloud):
    """Another package's plugin for a target that is taken."""

    @property
    def info(self) -> Info:
        return info("Rival", "cloud", "Serves what another one serves")

    @property
    def targets(self) -> Sequence[str]:
        return ("rival", "mockstack")


class Namesake(MockCloud):
    """Another package's plugin with an id that is taken."""

    @property
    def targets(self) -> Sequence[str]:
        return ("namesake",)


class Fragile(MockCloud):
    """A plugin that does not want to live."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        msg = "no such device"
        raise OSError(msg)


def entry(group: str, name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=group)


def only(*entries: EntryPoint) -> Callable[[str], Iterable[EntryPoint]]:
    """What an installation with just these plugins discovers."""
    return lambda group: [found for found in entries if found.group == group]


OS = entry(SYSTEMS, "mock", "imagefactory.systems.mock:MockOS")
CLOUD = entry(CLOUDS, "mock", "imagefactory.clouds.mock:MockCloud")


def here(name: str) -> EntryPoint:
    """The entry point of a class in this file, which is imported under a name of pytest's."""

    class Local(EntryPoint):
        def load(self) -> Any:
            return globals()[name]

    return Local(name=name.lower(), value=f"{HERE}:{name}", group=CLOUDS)


def test_the_installed_plugins_are_found() -> None:
    registry = load(Config())
    assert registry.cloud("mock").info.id == "MockCloud"
    assert registry.system("MockOS_A", "3", "s390x").info.id == "MockOS"


def test_the_most_specific_target_wins() -> None:
    exact = serving("exact", ("Debian", "12", "x86_64"))
    version = serving("version", ("Debian", "12", None))
    name = serving("name", ("Debian", None, None))
    registry = Registry(systems=[name, version, exact])
    assert registry.system("Debian", "12", "x86_64") is exact
    assert registry.system("Debian", "12", "aarch64") is version
    assert registry.system("Debian", "11", "x86_64") is name
    assert registry.system("Debian", None, None) is name


def test_a_system_that_nobody_builds_is_the_clients_error() -> None:
    registry = load(Config(), discover=only(OS))
    with pytest.raises(
        RequestError, match=r'^No plugin builds the system "MockOS_B 2 x86_64"$'
    ) as e:
        registry.system("MockOS_B", "2", "x86_64")
    assert e.value.hint == 'These are served: "MockOS_A", "MockOS_B 1 x86_64"'


def test_a_target_that_nobody_serves_is_the_clients_error() -> None:
    registry = load(Config(), discover=only(here("Namesake")))
    with pytest.raises(
        RequestError, match=r"^No plugin \.info file loaded for target: nosuch$"
    ) as e:
        registry.cloud("nosuch")
    assert e.value.hint == 'These are served: "namesake"'


def test_a_factory_without_plugins_says_so() -> None:
    with pytest.raises(RequestError) as e:
        load(Config(), discover=only()).cloud("mock")
    assert e.value.hint == "No plugin is installed"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            entry(CLOUDS, "absent", "no_such_package.cloud:Cloud"),
            "Loading plugin (absent) failed with exception: No module named 'no_such_package'",
        ),
        (
            entry(CLOUDS, "absent", "imagefactory.clouds.mock:NoSuchCloud"),
            (
                "Loading plugin (absent) failed with exception: module"
                " 'imagefactory.clouds.mock' has no attribute 'NoSuchCloud'"
            ),
        ),
        (here("Fragile"), "Loading plugin (fragile) failed with exception: no such device"),
    ],
    ids=["no module", "no class", "fails when made"],
)
def test_a_broken_plugin_is_listed_and_the_others_work(broken: EntryPoint, message: str) -> None:
    registry = load(Config(), discover=only(broken, CLOUD))
    assert registry.cloud("mock").info.id == "MockCloud"
    assert registry.infos()[-1] == {"ERROR": message, "id": broken.name}


def test_two_plugins_for_one_target_stop_the_start() -> None:
    with pytest.raises(
        ConfigError, match=r'MockCloud" and ".*Rival" both serve the target "mockst'
    ):
        load(Config(), discover=only(CLOUD, here("Rival")))


def test_clouds_are_made_when_one_is_asked_for() -> None:
    discover = only(OS, CLOUD, here("Fragile"))
    looked: list[str] = []

    def watched(group: str) -> Iterable[EntryPoint]:
        looked.append(group)
        return discover(group)

    registry = load(Config(), discover=watched, when_asked=True)
    assert registry.system("MockOS_A", "3", "s390x").info.id == "MockOS"
    assert looked == [SYSTEMS]
    assert registry.infos() == load(Config(), discover=discover).infos()
    assert registry.cloud("mock") is registry.cloud("mock")
    assert looked == [SYSTEMS, CLOUDS]
    rivals = load(Config(), discover=only(CLOUD, here("Rival")), when_asked=True)
    with pytest.raises(ConfigError, match="both serve the target"):
        rivals.cloud("mock")


def test_two_plugins_with_one_id_stop_the_start() -> None:
    with pytest.raises(ConfigError, match='Namesake" both have the id "MockCloud"'):
        load(Config(), discover=only(CLOUD, here("Namesake")))


def test_a_plugin_is_shown_as_the_original_showed_it() -> None:
    shown = load(Config(), discover=only(OS, CLOUD)).infos()
    assert [sorted(plugin) for plugin in shown] == [
        ["description", "id", "license", "maintainer", "targets", "type", "version"]
    ] * 2
    assert sorted(shown[0]["maintainer"]) == ["email", "name", "url"]
    assert (shown[0]["type"], shown[0]["id"]) == ("os", "MockOS")
    assert shown[0]["targets"] == [["MockOS_A", None, None], ["MockOS_B", "1", "x86_64"]]
    assert shown[1]["type"] == "cloud"
    assert ["rhevmock"] in shown[1]["targets"]
