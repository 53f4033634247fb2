"""A secret is shown by nothing but `reveal`."""

import pprint
from copy import deepcopy
from dataclasses import asdict, astuple, dataclass

from imagefactory.core.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Login:
    user: str
    password: Secret


def test_no_way_of_showing_a_value_shows_the_secret_in_it() -> None:
    login = Login(user="me", password=Secret("hunter2"))
    shown = [
        repr(login),
        f"{login.password}",
        f"{login.password!r:>40}",
        f"{login.password:>40}",
        pprint.pformat(login),
        repr(asdict(login)),
        repr(astuple(login)),
        repr(deepcopy(login)),
        "%s" % login.password,  # noqa: UP031 - logging does it this way
    ]
    assert not [text for text in shown if "hunter2" in text]
    assert login.password.reveal() == "hunter2"


def test_secrets_are_equal_by_value() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a")
    assert not Secret("")
