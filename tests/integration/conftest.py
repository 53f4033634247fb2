"""A factory with this machine's mirrors, shared by the tests so that they share its caches."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagefactory.core.config import Config
from imagefactory.engine.command import Tools
from imagefactory.engine.packages.apt_sources import machine_mirrors
from imagefactory.engine.sandbox import Sandbox
from servers.fixtures import glance

__all__ = ["glance"]


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    """The configuration of a factory in a folder of its own."""
    mirrors = machine_mirrors()
    if not mirrors:
        pytest.skip("apt of this machine knows no Debian mirror")
    state = tmp_path_factory.mktemp("factory") / "state"
    state.mkdir(mode=0o711)
    snapshots = () if expiry_counts() else tuple(mirrors)
    yield Config(
        state=state, tmpdir=state / "tmp", mirrors=mirrors, snapshots=snapshots, keep_failed=0
    )
    sandbox = Sandbox(state=state, tools=Tools())
    for folder in (state / "cache" / "layers", state / "scratch"):
        sandbox.remove(folder)
    shutil.rmtree(state)


def expiry_counts() -> bool:
    """Whether this machine's apt refuses expired indexes; it does not where its mirror is a snapshot."""
    words = ["apt-config", "dump", "--format", "%v", "Acquire::Check-Valid-Until"]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return told.strip().lower() not in {"false", "no", "0", "off"}


@pytest.fixture(scope="session")
def template() -> str:
    """A template for the tests, with the release left open."""
    return (Path(__file__).parent / "server.tdl.in").read_text()
