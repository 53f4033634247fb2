"""The folder of one build."""

import os
from pathlib import Path

import pytest

from imagefactory.builds.scratch import Scratch


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    scratch = Scratch(state=tmp_path, folder=tmp_path / "scratch" / "image")
    scratch.prepare()
    return scratch


def test_lives_are_counted_unless_they_are_returned(scratch: Scratch) -> None:
    assert [scratch.begin_life(), scratch.begin_life()] == [1, 2]
    scratch.return_life()
    scratch.prepare()
    assert scratch.begin_life() == 2


def test_a_source_outlives_the_body_it_was_made_from(scratch: Scratch, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_text("disk")
    source = scratch.source(body)
    body.unlink()
    assert source.read_text() == "disk"


def test_a_source_that_was_replaced_stays_replaced(scratch: Scratch, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_text("disk")
    customized = scratch.folder / "disk"
    customized.write_text("customized")
    customized.replace(scratch.source(body))
    assert scratch.source(body).read_text() == "customized"
    assert body.read_text() == "disk"


def test_a_source_on_another_file_system_is_followed(
    scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    body = tmp_path / "body"
    body.write_text("disk")
    assert scratch.source(body).is_symlink()
    assert scratch.source(body).read_text() == "disk"


def test_clearing_what_is_gone_is_no_error(scratch: Scratch) -> None:
    scratch.clear()
    scratch.clear()
    assert not scratch.folder.exists()
    scratch.return_life()
    assert not scratch.folder.exists()
