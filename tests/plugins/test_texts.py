"""Provider and credentials texts are read strictly, and no message shows what is in them."""

from collections.abc import Callable

import pytest

from imagefactory.core.errors import RequestError
from imagefactory.plugins.texts import Fields

XML = """
<provider_credentials>
  <other_credentials><username>no</username></other_credentials>
  <cloud_credentials region="north">
    <username> me </username><password>a&lt;b c</password>
    <properties><os_distro>debian</os_distro></properties>
    <!-- a remark --><empty/>
  </cloud_credentials>
</provider_credentials>
"""


def read(text: str) -> Fields:
    return Fields.read(text, what="credentials", element="cloud_credentials")


def test_xml_and_json_say_the_same() -> None:
    fields = read(XML)
    assert fields.require("username") == "me"
    assert fields.text("region") == "north"
    assert fields.require("password") == "a<b c"
    assert fields.mapping("properties") == {"os_distro": "debian"}
    assert fields.text("empty") is None
    json = read('{"username": "me", "region": "north", "properties": {"os_distro": "debian"}}')
    assert json.mapping("properties") == fields.mapping("properties")
    assert json.require("username") == "me"


def test_the_first_name_that_has_a_value_counts() -> None:
    fields = read('{"a": "", "b": null, "c": "x", "d": "y"}')
    assert fields.text("a", "b", "c", "d") == "x"
    with pytest.raises(RequestError, match=r'^The text of the credentials lacks "a"$'):
        fields.require("a", "b")


def test_the_root_counts_where_no_element_is_named() -> None:
    fields = Fields.read('<anything name="x"><size>3</size></anything>', what="provider")
    assert fields.require("name") == "x"
    assert fields.integer("size", default=0) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" ", "The text of the credentials is empty"),
        ("hunter2", "The text of the credentials is neither JSON nor XML"),
        ('["hunter2"]', "The text of the credentials is neither JSON nor XML"),
        (
            '{"password": "hunter2"',
            "The text of the credentials is not valid JSON: line 1, column 23",
        ),
        (
            '{"password": "hunter2\n"}',
            "The text of the credentials is not valid JSON: line 1, column 22",
        ),
        (
            "<a>\n<password>hunter2</pass></a>",
            "The text of the credentials is not valid XML: line 2",
        ),
        ("<a>&hunter2;</a>", "The text of the credentials is not valid XML: line 1"),
        ("<a>hunter2</a>", 'The text of the credentials has no element "cloud_credentials"'),
        (
            "<!DOCTYPE a [<!ENTITY b 'hunter2'>]><cloud_credentials>&b;</cloud_credentials>",
            "The text of the credentials is not valid XML: line 1",
        ),
    ],
)
def test_what_cannot_be_read_is_told_by_its_place(text: str, message: str) -> None:
    with pytest.raises(RequestError) as error:
        read(text)
    assert error.value.brief == message
    assert "hunter2" not in f"{error.value.hint} {error.value.__cause__!r}"


def test_a_typo_is_named_and_what_was_meant_is_hinted() -> None:
    with pytest.raises(RequestError, match='has an unknown key "pasword"') as error:
        read('{"pasword": "hunter2"}').only({"username", "password"})
    assert error.value.hint == "Known are password, username"
    assert "hunter2" not in str(error.value)


def test_a_value_of_the_wrong_type_is_named_and_not_shown() -> None:
    fields = read(
        '{"text": ["hunter2"], "flag": true, "number": "hunter2", "negative": -1, "map": "hunter2"}'
    )
    readings: dict[str, Callable[[], object]] = {
        "text": lambda: fields.text("text"),
        "flag": lambda: fields.text("flag"),
        "number": lambda: fields.integer("number", default=0),
        "negative": lambda: fields.integer("negative", default=0),
        "map": lambda: fields.mapping("map"),
    }
    for key, reading in readings.items():
        with pytest.raises(RequestError, match=f'^The key "{key}" of the credentials is not ') as e:
            reading()
        assert "hunter2" not in f"{e.value} {e.value.hint}"
    with pytest.raises(RequestError, match='"number" of the credentials is not true or false'):
        fields.boolean("number", default=False)


def test_fields_do_not_show_their_values() -> None:
    fields = read('{"password": "hunter2"}')
    assert "hunter2" not in repr(fields)
    assert "hunter2" not in repr(fields.secret("password"))
