"""Locks that are none say why."""

import pytest

from imagefactory.core.errors import RequestError
from imagefactory.core.lock import FORMAT, Lock


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is not JSON: Expecting value: line 1 column 1 (char 0)"),
        ("{}", 'it has no "format"'),
        ('{"format": "other/1"}', "its format is another one"),
        (f'{{"format": "{FORMAT}"}}', 'it has no "packages"'),
        ("[]", "it is no object"),
    ],
)
def test_what_is_no_lock_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(RequestError) as refused:
        Lock.loads(text)
    assert refused.value.brief == f'The lock is not in the format "{FORMAT}": {why}'


def test_a_lock_is_read_as_it_was_written() -> None:
    lock = Lock(system="Debian", version="12", arch="x86_64", epoch=1, packages=())
    assert Lock.loads(lock.dumps()) == lock
