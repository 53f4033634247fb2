"""A build is quick, and as quick when many clients ask how far it is."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

import httpx2
import pytest

from fakes.api import TDL
from fakes.daemon import Daemon, a_daemon
from fakes.patience import until

ROOT: Final = Path(__file__).parent.parent.parent
RUNS: Final = 3  #: the quickest counts: others may need the machine meanwhile
QUICK: Final = 1  #: seconds
PATIENCE: Final = 30  #: seconds for one run to be quick
PUSH: Final[dict[str, Any]] = {
    "target": "mock",
    "provider": "mock",
    "credentials": "<provider_credentials/>",
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with a_daemon(tmp_path_factory.mktemp("daemon"), no_ssl=True, no_oauth=True) as daemon:
        built(daemon, "base_image", template=TDL)  # the worker is there
        yield daemon


def built(daemon: Daemon, noun: str, **fields: Any) -> str:
    """The id of an image that is COMPLETE."""
    collection = f"{daemon.url}/imagefactory/{noun}s"
    with httpx2.Client(trust_env=False, verify=False, timeout=60) as http:
        asked = http.post(collection, json={noun: fields})
        assert asked.status_code == 202, asked.text
        image_id: str = asked.json()[noun]["id"]

        def shown() -> dict[str, Any]:
            image: dict[str, Any] = http.get(f"{collection}/{image_id}").json()[noun]
            return image

        until(lambda: shown()["status"] in {"COMPLETE", "FAILED"}, seconds=60)
        assert shown()["status"] == "COMPLETE"
    return image_id


def step_by_step(daemon: Daemon) -> None:
    base = built(daemon, "base_image", template=TDL)
    target = built(daemon, "target_image", target="mock", base_image_id=base)
    built(daemon, "provider_image", target_image_id=target, **PUSH)


CASCADES: Final[dict[str, Callable[[Daemon], object]]] = {
    "base image": partial(built, noun="base_image", template=TDL),
    "target image": partial(built, noun="target_image", target="mock", template=TDL),
    "provider image": partial(built, noun="provider_image", template=TDL, **PUSH),
    "step by step": step_by_step,
}


def quickest(work: Callable[[], object]) -> float:
    """Seconds of the quickest of some runs."""
    seconds = []
    for _ in range(RUNS):
        began = time.monotonic()
        work()
        seconds.append(time.monotonic() - began)
    return min(seconds)


def crowd() -> float:
    """How many seconds a second of work takes here; 1 on a machine that has nothing else to do."""
    began, worked = time.monotonic(), time.thread_time()
    while time.thread_time() < worked + 0.2:
        pass
    return (time.monotonic() - began) / (time.thread_time() - worked)


@contextmanager
def polled(daemon: Daemon, *, clients: int, seconds: int) -> Iterator[None]:
    """Have clients ask for a list each second while the block runs, and no longer than so many."""
    load = {
        "port": daemon.port,
        "certificate": None,
        "key": "anybody",
        "secret": "anything",
        "paths": ["/imagefactory/base_images?limit=100"],
        "clients": clients,
        "requests": seconds,
        "pause": 1,
    }
    program = [sys.executable, "-m", "benchmarks.polling"]
    with TemporaryFile("w+") as told:
        json.dump(load, told)
        told.seek(0)
        process = subprocess.Popen(program, cwd=ROOT, stdin=told, stdout=subprocess.DEVNULL)
    try:
        time.sleep(2)
        yield
        assert process.poll() is None, "the clients ended too early to prove anything"
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", CASCADES)
def test_a_cascade_of_mocks_is_quick(daemon: Daemon, name: str) -> None:
    def shares() -> float:
        """Of a cascade's limit, when the machine is as busy as it is around it."""
        busy, took = crowd(), quickest(partial(CASCADES[name], daemon))
        return took / (QUICK * max(busy, crowd()))

    until(lambda: shares() < 1, seconds=PATIENCE)


def test_two_hundred_pollers_do_not_delay_a_build(daemon: Daemon) -> None:
    alone = quickest(partial(CASCADES["provider image"], daemon))
    with polled(daemon, clients=200, seconds=60):
        beside = quickest(partial(CASCADES["provider image"], daemon))
    assert beside < 2 * alone + 1
