"""Licences as Debian's packages name them, in SPDX's words; what may mean several keeps its own name."""

import json
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefactory.core.bill import Licensing
from imagefactory.engine.packages import copyright as dep5
from imagefactory.engine.packages.copyright import read_copyright, spdx_id

HEAD = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"


def declared(*names: str) -> str | None:
    text = HEAD + "".join(f"Files: {name}\nCopyright: x\nLicense: {name}\n\n" for name in names)
    return read_copyright(text, source="src").expression


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GPL-2+", "GPL-2.0-or-later"),
        ("GPL-2", "GPL-2.0-only"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("GPL-3.0-or-later", "GPL-3.0-or-later"),
        ("Expat", "MIT"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("GPL-4", None),
        ("GPL", None),
        ("MIT", None),
        ("Artistic", None),
        ("public-domain", None),
    ],
)
def test_names_that_mean_one_licence(name: str, expected: str | None) -> None:
    assert spdx_id(name) == expected


def test_licences_of_files_are_joined() -> None:
    assert declared("Expat", "GPL-2+ or Expat") == "(GPL-2.0-or-later OR MIT) AND MIT"
    assert declared("GPL-2+ and Expat", "GPL-2.0-or-later") == "GPL-2.0-or-later AND MIT"


def test_what_has_no_name_in_spdx_keeps_its_own_and_its_text() -> None:
    text = (
        f"{HEAD}Files: *\nLicense: public-domain\n\n"
        "Files: x\nLicense: GPL-2+ with OpenSSL exception\n Be good.\n .\n Always.\n"
    )
    assert read_copyright(text, source="x++") == Licensing(
        expression="LicenseRef-x--GPL-2-or-later-with-OpenSSL-exception AND LicenseRef-x--public-domain",
        texts={
            "LicenseRef-x--public-domain": "The copyright file names this licence and has no text of it.",
            "LicenseRef-x--GPL-2-or-later-with-OpenSSL-exception": "Be good.\n\nAlways.",
        },
    )


def test_a_text_for_people_says_nothing() -> None:
    assert read_copyright("This is free software.\nLicense: GPL-2\n", source="x") == Licensing()


def test_every_name_of_ours_is_on_the_list_of_spdx() -> None:
    listed = json.loads(
        files("cyclonedx.schema._res").joinpath("spdx.SNAPSHOT.schema.json").read_text()
    )
    names = set(listed["enum"])
    assert set(dep5._SAME.values()) <= names
    families = dep5._GNU_VERSIONS.items()
    made = {
        spdx_id(f"{family}-{one}{plus}")
        for family, all_ in families
        for one in all_
        for plus in ("", "+")
    }
    assert made <= names


@given(st.text())
def test_a_damaged_file_is_no_crash(text: str) -> None:
    read_copyright(HEAD + text, source="x")
