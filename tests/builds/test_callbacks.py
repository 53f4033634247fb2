"""Receivers are told of each status, in order, at least once, and never at the cost of a build."""

import base64
import hashlib
import hmac
import json
import logging
import multiprocessing
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fakes.patience import until
from fakes.plugins import a_template
from fakes.postman import LOOPBACK, QUICK, deliver_next
from fakes.receiver import Receiver, a_receiver
from fakes.shop import Shop, a_shop
from imagefactory.builds import receivers
from imagefactory.builds.callbacks import DELIVERY, SIGNATURE, Pace, Postman
from imagefactory.core.config import Config
from imagefactory.core.errors import ConfigError, RequestError
from imagefactory.core.secret import Secret

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


@pytest.fixture
def shop(tmp_path: Path, receiver: Receiver) -> Iterator[Shop]:
    secrets = {receiver.url: Secret("between us")}
    settings: dict[str, Any] = {"callback_networks": LOOPBACK, "callback_secrets": secrets}
    with a_shop(tmp_path / "state", **settings) as shop:
        yield shop


def postman(shop: Shop, pace: Pace = QUICK, allowed: tuple[str, ...] = LOOPBACK) -> Postman:
    config = Config(callback_networks=allowed)
    return Postman(
        store=shop.workshop.store,
        secrets=shop.workshop.config.callback_secrets,
        allowed=receivers.networks(config),
        pace=pace,
    )


def statuses(receiver: Receiver, image_id: str, path: str = "/hook") -> list[str]:
    """What a receiver was told of an image, repetitions of a message aside."""
    told: dict[str, str] = {}
    for put in receiver.told:
        [(_noun, image)] = json.loads(put.body).items()
        if image["id"] == image_id and put.path == path:
            told[put.headers[DELIVERY.lower()]] = image["status"]
    return list(told.values())


def cascade(shop: Shop, *urls: str, template: str | None = None, **parameters: Any) -> list[str]:
    """The ids of a base, a target and a provider image that are asked for in one request."""
    image = shop.factory.create_provider_image(
        provider="account",
        credentials=Secret("right"),
        target="fake",
        template=template or a_template(),
        parameters={"callbacks": list(urls), **parameters},
    )
    target = shop.factory.find(str(image.target_image_id))
    assert target is not None
    return [str(target.parent_id), target.id, image.id]


def test_each_image_of_a_cascade_tells_its_whole_life_in_order(
    shop: Shop, receiver: Receiver
) -> None:
    base, target, pushed = cascade(shop, f"{receiver.url}/hook", f"{receiver.url}/other")
    with postman(shop).at_work():
        shop.work()
        shop.factory.delete(pushed)
        shop.work()
        until(lambda: len(receiver.told) == 2 * 10)
    assert statuses(receiver, base) == ["BUILDING", "COMPLETE"]
    assert statuses(receiver, target) == ["PENDING", "BUILDING", "COMPLETE"]
    whole = ["PENDING", "BUILDING", "COMPLETE", "DELETING", "DELETED"]
    assert statuses(receiver, pushed) == statuses(receiver, pushed, "/other") == whole
    last = json.loads(next(put.body for put in receiver.told if b'"COMPLETE"' in put.body))
    assert last["base_image"].keys() == {
        "_type", "id", "template", "icicle", "status_detail", "status", "percent_complete",
        "parameters", "properties",
    }  # fmt: skip


def test_a_message_is_signed_and_holds_no_secret(shop: Shop, receiver: Receiver) -> None:
    address = receiver.url.replace("http://", "http://user:pass-word@")
    secrets = {address: Secret("between us")}
    cascade(shop, f"{address}/hook", api_token="marker-1")
    man = Postman(
        store=shop.workshop.store,
        secrets=secrets,
        allowed=shop.workshop.callback_networks,
        pace=QUICK,
    )
    with man.at_work():
        shop.work()
        until(lambda: len(receiver.told) == 8)
    for put in receiver.told:
        expected = hmac.new(b"between us", put.body, hashlib.sha256).hexdigest()
        assert put.headers[SIGNATURE.lower()] == f"sha256={expected}"
        assert put.headers["content-type"] == "application/json"
        basic = put.headers["authorization"].removeprefix("Basic ")
        assert base64.b64decode(basic) == b"user:pass-word"
        for secret in (b"open sesame", b"marker-1", b"pass-word", b"between us", b"right"):
            assert secret not in put.body


def test_a_receiver_that_fails_is_told_again_and_still_in_order(
    shop: Shop, receiver: Receiver
) -> None:
    receiver.answers.extend([500, 404, 503])
    image = shop.factory.create_base_image(
        template=a_template(), parameters={"callbacks": f"{receiver.url}/hook"}
    )
    shop.work()
    with postman(shop).at_work():
        until(lambda: len(receiver.told) == 5)
    ids = [put.headers[DELIVERY.lower()] for put in receiver.told]
    assert ids == [ids[0]] * 4 + [ids[4]]
    assert statuses(receiver, image.id) == ["BUILDING", "COMPLETE"]


def test_a_dead_receiver_delays_neither_the_build_nor_others(
    shop: Shop, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with a_receiver() as slow:
        slow.held.clear()
        pace = Pace(**{**vars(QUICK), "life": timedelta(seconds=1), "limit": 0.5})
        with postman(shop, pace).at_work():
            base, *_ = cascade(
                shop, f"{slow.url}/hook", "http://127.0.0.1:1/refuses", f"{receiver.url}/hook"
            )
            shop.work()
            assert until(lambda: statuses(receiver, base) == ["BUILDING", "COMPLETE"]) < 3
            gone = 'The callback "http://127.0.0.1:1/refuses" of the image'
            until(lambda: gone in caplog.text)
        assert "is given up after" in caplog.text
        assert "it took longer than" in caplog.text
        slow.held.set()


def test_what_a_killed_process_was_sending_is_sent_by_the_next(
    shop: Shop, receiver: Receiver
) -> None:
    image = shop.factory.create_base_image(
        template=a_template(), parameters={"callbacks": [f"{receiver.url}/hook"]}
    )
    shop.work()
    receiver.held.clear()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=deliver_next, args=(shop.state,), daemon=True)
    process.start()
    until(lambda: receiver.told)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    receiver.held.set()
    with postman(shop).at_work(), postman(shop).at_work():
        until(lambda: len(receiver.told) == 3)
    ids = [put.headers[DELIVERY.lower()] for put in receiver.told]
    assert ids[0] == ids[1] != ids[2]
    assert statuses(receiver, image.id) == ["BUILDING", "COMPLETE"]


def test_redirections_are_followed_only_to_where_callbacks_may_go(
    shop: Shop, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.redirections["/hook"] = f"{receiver.url}/moved"
    receiver.redirections["/inside"] = "http://169.254.169.254/latest"
    receiver.redirections["/round"] = "/round"
    cascade(shop, f"{receiver.url}/hook", f"{receiver.url}/inside")
    while postman(shop).deliver_next():
        pass
    assert [put.path for put in receiver.told].count("/moved") == 2
    assert (
        'The callback "http://169.254.169.254/latest" leads to a cloud\'s metadata service, which is'
        " not called" in caplog.text
    )
    assert not postman(shop).deliver_next(), "a forbidden address is not tried again"


def test_a_name_that_leads_inside_is_not_called(
    shop: Shop, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    cascade(shop, receiver.url.replace("127.0.0.1", "localhost") + "/hook")
    while postman(shop, allowed=()).deliver_next():
        pass
    assert receiver.told == []
    assert "leads to this machine itself, which is not called" in caplog.text
    assert "A receiver's address is global, or in a network that the operator lists" in caplog.text


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("ftp://receiver.example.org/", 'The callback "ftp://receiver.example.org/" is not an http'),
        (["http://user:hush@10.0.0.1/x?token=hush"], 'The callback "http://10.0.0.1/x" leads to a private'),
        (["http://[::1]/"], r'The callback "http://\[::1\]/" leads to this machine itself'),
        (["http://[::1/"], "A callback is not a URL"),
        ([5], 'The parameter "callbacks" is'),
        (["http://receiver.example.org/"] * 17, '"callbacks" has 17 addresses, more than 16'),
    ],
)  # fmt: skip
def test_a_receiver_that_cannot_be_is_refused_in_one_sentence(
    tmp_path: Path, given: object, sentence: str
) -> None:
    with a_shop(tmp_path / "state") as shop:
        with pytest.raises(RequestError, match=sentence) as refused:
            shop.factory.create_base_image(template=a_template(), parameters={"callbacks": given})
        assert "hush" not in f"{refused.value} {refused.value.hint}"
        assert not shop.factory.images()


def test_a_network_that_is_none_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match='The callback network "inside" is neither'),
        a_shop(tmp_path / "state", callback_networks=("inside",)),
    ):
        pass


def test_debug_calls_nobody_and_a_deletion_may_name_receivers(
    shop: Shop, receiver: Receiver
) -> None:
    image = shop.factory.create_base_image(
        template=a_template(), parameters={"callbacks": ["debug"]}
    )
    shop.work()
    shop.factory.delete(image.id, callbacks=[f"{receiver.url}/hook"])
    shop.work()
    while postman(shop).deliver_next():
        pass
    assert statuses(receiver, image.id) == ["DELETING", "DELETED"]
