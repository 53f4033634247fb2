"""The answers for each generation of Anaconda, as reviewed."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from imagefactory.engine.installer.kickstart import Server, kickstart

GOLDEN: Final = Path(__file__).parent.parent.parent / "golden" / "kickstarts"
HASHED: Final = "$6$salt$hash"
SERVER: Final = Server(
    dialect=9,
    url="http://mirror.example.org/tree",
    packages=("httpd",),
    kernel_arguments="quiet",
)
#: release -> whose words it speaks
RELEASES: Final = {
    **{f"rhel-{number}": number for number in range(5, 11)},
    **{f"centos-{number}": number for number in range(5, 11)},
    **{f"ol-{number}": number for number in range(5, 11)},
    **{f"scientificlinux-{number}": number for number in range(5, 8)},
    **{f"{name}-{number}": number for name in ("rocky", "almalinux") for number in (8, 9, 10)},
    "fedora": 10,
}


@pytest.mark.parametrize("release", RELEASES)
def test_the_answers_are_as_reviewed(release: str) -> None:
    """`UPDATE_GOLDEN=1` writes them anew; the commit says why they changed."""
    url = f"http://mirror.example.org/{release}"
    text = kickstart(replace(SERVER, dialect=RELEASES[release], url=url), password=HASHED)
    golden = GOLDEN / f"{release}.ks"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("dialect", range(5, 11))
def test_without_a_password_nobody_logs_in_with_one(dialect: int) -> None:
    text = kickstart(replace(SERVER, dialect=dialect), password=None)
    (line,) = (line for line in text.splitlines() if line.startswith("rootpw"))
    assert line in {"rootpw --lock", "rootpw --iscrypted !!"}
