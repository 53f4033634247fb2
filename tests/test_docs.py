"""What the documentation says about the program, compared with the program."""

import re
from pathlib import Path
from typing import Final

import pytest

from imagefactory.core import errors

ROOT: Final = Path(__file__).resolve().parent.parent
PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])


def classes() -> dict[str, str]:
    """Code and name of every error class."""
    return {
        kind.code: name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.FactoryError)
    }


def test_every_error_has_a_code_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert len(classes()) == len([kind for kind in kinds if issubclass(kind, Exception)])


def test_the_table_of_errors_is_complete_and_in_order() -> None:
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    rows = re.findall(r"^\| (IF-\d{4}) \| `(\w+)` \|", page, flags=re.MULTILINE)
    assert rows == sorted(classes().items())


def test_the_tree_of_errors_is_drawn_completely() -> None:
    tree = re.findall(r"(\w+) +(IF-\d{4})", errors.__doc__ or "")
    assert {code: name for name, code in tree} == classes()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text("utf-8"))
    assert not [target for target in targets if not (page.parent / target).exists()]
