"""Control files: what is written is read again, whatever it says."""

from hypothesis import given, settings
from hypothesis import strategies as st

from imagefactory.engine.packages.deb822 import dumps, named, package_names, stanzas

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,10}", fullmatch=True)
LINES = st.from_regex(r"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True)
VALUES = st.lists(LINES, min_size=1, max_size=3).map("\n".join)
STANZAS = st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4), max_size=4)


@settings(max_examples=40)
@given(STANZAS)
def test_what_is_written_is_read_again(content: list[dict[str, str]]) -> None:
    assert list(stanzas("".join(map(dumps, content)))) == content


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    for stanza in stanzas(text):
        assert stanza


def test_comments_and_continuation_lines() -> None:
    text = "# a comment\nA: one\n two\n  three\n# another\nB:\n x\n\n\n\nC: d\n"
    assert list(stanzas(text)) == [{"A": "one\ntwo\n three", "B": "\nx"}, {"C": "d"}]


def test_only_the_named_packages_are_read() -> None:
    text = "Package: a\nVersion: 1\n\nPackage: b\nVersion: 2\n\nPackage: a\nVersion: 3\n"
    assert list(named(text.encode(), {"a"})) == [
        {"Package": "a", "Version": "1"},
        {"Package": "a", "Version": "3"},
    ]
    assert package_names(text.encode()) == {"a", "b"}
