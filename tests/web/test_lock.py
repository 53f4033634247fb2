"""A template is resolved by a worker, while the API answers others."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fakes.api import ROOT, TDL, Api
from imagefactory.builds.resolution import Resolutions
from imagefactory.core.errors import FetchError
from imagefactory.core.lock import Lock
from imagefactory.web import templates


@contextmanager
def at_work(api: Api) -> Iterator[None]:
    """The worker of the API, in a thread of its own."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.02):
            api.shop.work()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_what_is_not_made_of_packages_cannot_be_locked(api: Api) -> None:
    with at_work(api):
        answer = api.http.post(f"{ROOT}/templates/lock", json={"template": TDL, "parameters": {}})
    assert answer.status_code == 400
    assert answer.text == 'The system "MockOS_A" is not made of packages that could be locked'
    state = api.shop.state
    assert not list((state / "resolutions").iterdir())
    assert not list((state / "scratch").glob("*"))


def test_the_lock_is_the_answer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = Lock(system="Debian", version="12", arch="x86_64", epoch=0, packages=())
    monkeypatch.setattr(Resolutions, "make", lambda _self, _ref: lock)
    with at_work(api):
        answer = api.http.post(
            f"{ROOT}/templates/lock", content=TDL, headers={"content-type": "application/xml"}
        )
    assert answer.status_code == 200
    assert Lock.loads(answer.text) == lock


def test_a_mirror_that_is_down_is_no_mistake_of_the_client(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(_self: Resolutions, _ref: str) -> Lock:
        msg = 'Could not fetch "http://mirror.example.org/debian": the server was silent'
        raise FetchError(msg)

    monkeypatch.setattr(Resolutions, "make", make)
    with at_work(api):
        answer = api.http.post(f"{ROOT}/templates/lock", json={"template": TDL})
    assert answer.status_code == 502
    assert answer.text.startswith('Could not fetch "http://mirror.example.org/debian"')


def test_an_answer_that_does_not_come_is_not_waited_for_forever(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "_PATIENCE", 0.5)
    answer = api.http.post(f"{ROOT}/templates/lock", json={"template": TDL})
    assert answer.status_code == 504
    assert api.shop.inbox.jobs == type(api.shop.inbox.jobs)()


def test_a_template_in_another_encoding_is_refused(api: Api) -> None:
    answer = api.http.post(
        f"{ROOT}/templates/lock",
        content="<template><name>ü</name></template>".encode("latin-1"),
        headers={"content-type": "application/xml"},
    )
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "body", [{}, {"template": "<nonsense/>"}, {"template": TDL, "parameters": [1]}]
)
def test_what_cannot_be_resolved_is_refused_at_once(api: Api, body: dict[str, object]) -> None:
    assert api.http.post(f"{ROOT}/templates/lock", json=body).status_code == 400
    assert not api.shop.inbox.jobs
