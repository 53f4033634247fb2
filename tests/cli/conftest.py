"""The command line as a test runs it: in this process, on a state folder of the test's own."""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.program import Outcome, Run
from imagefactory.cli.main import main


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of the runs."""
    folder = tmp_path / "state"
    monkeypatch.setenv("IMAGEFACTORY_STATE", str(folder))
    monkeypatch.setenv("IMAGEFACTORY_CONFIG", str(tmp_path / "imagefactory.conf"))
    (tmp_path / "imagefactory.conf").write_text("{}")
    return folder


@pytest.fixture
def run(state: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs a command line. What a program does to its own process is undone at the end."""
    root, umask = logging.getLogger(), os.umask(0o022)
    handlers, level = root.handlers[:], root.level

    def run(*argv: str | Path) -> Outcome:
        assert state.parent.is_dir()
        try:
            status = main([str(word) for word in argv])
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capsys.readouterr()
        return Outcome(status=status, out=out, err=err)

    yield run
    for handler in [each for each in root.handlers if each not in handlers]:
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        if handler not in root.handlers:
            root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    sys.excepthook = sys.__excepthook__
    os.umask(umask)


@pytest.fixture
def mock_template(tmp_path: Path) -> Path:
    """A template that is built at once."""
    path = tmp_path / "mock.tdl"
    path.write_text(
        "<template><name>mock</name><os><name>MockOS_A</name><version>1</version>"
        "<arch>x86_64</arch><install type='url'><url>http://mirror.example.org/x</url></install>"
        "<rootpw>open sesame</rootpw></os></template>"
    )
    return path
