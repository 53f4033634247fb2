"""Progress never falls, whatever is sent again."""

from fakes.build import Told
from imagefactory.plugins.progress import Progress


def test_what_is_sent_again_does_not_set_it_back() -> None:
    told = Told()
    progress = Progress(told, size=200)
    for done in (0, 100, 50, 199, 400):
        progress(done)
    progress.proceed()
    assert told.percents == [0, 50, 50, 99, 100, 100]


def test_an_empty_file_is_no_division_by_zero() -> None:
    told = Told()
    Progress(told, size=0)(0, "Sending nothing")
    assert (told.percents, told.activities) == ([0], ["Sending nothing"])
