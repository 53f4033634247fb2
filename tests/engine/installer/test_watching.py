"""What installers say when somebody should answer."""

import pytest

from imagefactory.engine.installer.watching import ASKING


@pytest.mark.parametrize(
    "line",
    [
        "Prompt: '?' for help, default=> ",
        "[Press enter to continue] ",
        "Please make a selection from the above ['c' to continue, 'q' to quit]: ",
    ],
)
def test_a_question_is_known(line: str) -> None:
    assert ASKING.search(line)


@pytest.mark.parametrize("line", ["Retrieving 12 of 80", "Enter the installer", "press on"])
def test_progress_is_no_question(line: str) -> None:
    assert not ASKING.search(line)
