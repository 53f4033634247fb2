"""Parameters are read with the type that is expected, or refused by name."""

from typing import Any

import pytest

from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters


@pytest.mark.parametrize("value", [True, 1, "yes", "True", "1", "TRUE"], ids=repr)
def test_true_in_all_its_spellings(value: Any) -> None:
    assert Parameters({"x": value}).boolean("x", default=False) is True


@pytest.mark.parametrize("value", [False, 0, "no", "False", "0", ""], ids=repr)
def test_false_in_all_its_spellings(value: Any) -> None:
    assert Parameters({"x": value}).boolean("x", default=True) is False


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        ("boolean", "perhaps", 'The parameter "x" is "perhaps", which is not true or false'),
        ("integer", "1.5", 'The parameter "x" is "1.5", which is not a whole number'),
        ("integer", True, 'The parameter "x" is "True", which is not a whole number'),
        ("text", ["a"], 'The parameter "x" is "[\'a\']", which is not a text'),
    ],
)
def test_a_wrong_type_is_the_clients_mistake(read: str, value: Any, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        getattr(Parameters({"x": value}), read)("x", default=None)
    assert str(caught.value) == message


def test_a_choice_names_what_may_be_chosen() -> None:
    with pytest.raises(RequestError, match='not one of "a", "b"'):
        Parameters({"x": "c"}).choice("x", ("a", "b"), default="a")
    assert Parameters().choice("x", ("a", "b"), default="a") == "a"


def test_numbers_may_be_digits() -> None:
    assert Parameters({"x": "-7"}).integer("x") == -7
    assert Parameters({"x": 5}).text("x") == "5"
