"""The answers for Debian's installer, as reviewed."""

import os
from pathlib import Path
from typing import Final

from imagefactory.engine.installer.preseed import Server, preseed

GOLDEN: Final = Path(__file__).parent.parent.parent / "golden" / "preseeds"


def test_the_answers_are_as_reviewed() -> None:
    """`UPDATE_GOLDEN=1` writes them anew; the commit says why they changed."""
    server = Server(
        url="http://mirror.example.org/debian",
        security="http://mirror.example.org/debian-security",
        suite="bookworm",
        packages=("nginx",),
        kernel_arguments="quiet",
    )
    text = preseed(server, password="$6$salt$hash")
    golden = GOLDEN / "debian-12.cfg"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()
