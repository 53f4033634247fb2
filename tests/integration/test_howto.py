"""The walk-throughs of the documentation, followed to the letter against a daemon."""

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from fakes.daemon import a_daemon

pytestmark = pytest.mark.integration

ROOT: Final = Path(__file__).resolve().parent.parent.parent
_BLOCK: Final = re.compile(r"(?:`([\w./-]+)`:\n\n)?```(\w+)\n(.*?)```", re.DOTALL)


def commands(block: str) -> list[tuple[str, list[str]]]:
    """Each command of a console, and the lines that it is said to print."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def followed(command: str, said: list[str], *, folder: Path, env: dict[str, str]) -> None:
    """Run a command; it succeeds, and prints what it is said to print ("…" is anything)."""
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    pattern = "\n".join(".*" if line == "…" else re.escape(line) for line in said)
    if said:
        assert re.fullmatch(pattern, done.stdout.rstrip("\n"), re.DOTALL), done.stdout


@pytest.mark.parametrize("page", ["new-cloud", "new-system"])
def test_a_walk_through_leads_there(page: str, tmp_path: Path) -> None:
    (tmp_path / "imagefactory").symlink_to(ROOT)
    site = tmp_path / "site"
    env = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(tmp_path),
        "PYTHONPATH": str(site),
        "IMAGEFACTORY_SERVER": "",
        # Where it is installed to and what it is built with; neither is in the text, nor is a network here.
        "PIP_TARGET": str(site),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "false",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    with ExitStack() as stack:
        for name, kind, text in _BLOCK.findall((ROOT / f"docs/howto/{page}.md").read_text()):
            if name:
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name).write_text(text)
                continue
            assert kind == "console", text
            for command, said in commands(text):
                if command.startswith("imagefactory ") and not env["IMAGEFACTORY_SERVER"]:
                    patch = stack.enter_context(pytest.MonkeyPatch.context())
                    patch.setenv("PYTHONPATH", str(site))
                    folder = tmp_path / "daemon"
                    folder.mkdir()
                    daemon = stack.enter_context(a_daemon(folder, no_ssl=True, no_oauth=True))
                    env["IMAGEFACTORY_SERVER"] = daemon.url
                followed(command, said, folder=tmp_path, env=env)
    assert env["IMAGEFACTORY_SERVER"]
