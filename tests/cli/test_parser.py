"""The words of the command line: which there are, where they may stand, and what they cost."""

import argparse
import os
import subprocess
import sys
import time
from typing import Final

import pytest

from fakes.patience import until
from fakes.program import Run
from imagefactory.cli import main
from imagefactory.cli.parser import make_parser

QUICK: Final = 0.3  #: seconds
BYTECODE: Final = "PYTHONDONTWRITEBYTECODE"


def subcommands() -> dict[str, argparse.ArgumentParser]:
    for action in make_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError


def test_every_subcommand_has_a_function_and_every_function_a_subcommand() -> None:
    assert set(subcommands()) == set(main._COMMANDS)
    for name in subcommands():
        assert callable(main._command(name)), name


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["--output", "json"], []),
        ([], ["--output", "json"]),
        (["--output", "log"], ["--output", "json"]),
    ],
)
def test_global_options_may_stand_before_and_after_the_subcommand(
    before: list[str], after: list[str]
) -> None:
    options = make_parser().parse_args([*before, "images", *after])
    assert options.output == "json"


def test_every_option_of_the_original_is_accepted() -> None:
    line = """--verbose --config F --imgdir D --timeout 5 --tmpdir D --plugins D --ec2-32bit-util a
        --ec2-64bit-util b --debug --nodebug --output log --raw provider_image T P C --snapshot
        --id U --parameters F --parameter a b --parameter c d --file-parameter e f"""
    options = make_parser().parse_args(line.split())
    assert options.parameter == [["a", "b"], ["c", "d"]]
    assert options.debug is False
    assert (options.ec2_32bit_util, options.ec2_64bit_util) == ("a", "b")


@pytest.mark.parametrize("given", [["--id", "a", "--template", "b"], []])
def test_an_image_is_made_from_one_thing(run: Run, given: list[str]) -> None:
    assert run("target_image", "mock", *given).status == 2


def test_without_words_there_is_help(run: Run) -> None:
    outcome = run()
    assert outcome.status == 0
    assert "provider_image" in outcome.out


def test_help_loads_nothing_that_takes_time() -> None:
    script = """
import sys
from imagefactory.cli.main import main
try:
    main(["--help"])
except SystemExit:
    heavy = {"dbos", "sqlalchemy", "alembic", "fastapi", "uvicorn", "rich", "lxml", "shtab",
             "httpx2", "cryptography", "asyncio"}
    sys.stderr.write(" ".join(sorted(heavy & set(sys.modules))))
"""
    found = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert "COMMAND" in found.stdout
    assert found.stderr == ""


def test_help_is_quick() -> None:
    # As installed: with its modules compiled, which the first run does.
    environment = {name: value for name, value in os.environ.items() if name != BYTECODE}

    def seconds() -> float:
        began = time.monotonic()
        program = [sys.executable, "-m", "imagefactory.cli.main", "--help"]
        subprocess.run(program, env=environment, stdout=subprocess.DEVNULL, check=True)
        return time.monotonic() - began

    until(lambda: seconds() < QUICK)  # the others may have met a busy machine


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh"])
def test_a_shell_learns_every_subcommand(run: Run, shell: str) -> None:
    outcome = run("completion", shell)
    assert outcome.status == 0
    for name in subcommands():
        assert name in outcome.out


def test_bash_takes_the_completion(run: Run) -> None:
    script = run("completion", "bash").out
    subprocess.run(["bash", "-n"], input=script, check=True, text=True)
