"""The rules of `CONTRIBUTING.md` that a machine can check and no linter does."""

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points, packages_distributions
from itertools import chain
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from pip._internal.models.index import PyPI

from imagefactory.core.config import Config
from imagefactory.engine.host import PROGRAMS

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCE: Final = ROOT / "src" / "imagefactory"
LONGEST_FILE: Final = 500
LONGEST_FUNCTION: Final = 60

#: The two places where any exception becomes an answer.
CATCH_ALL: Final = {"web/errors.py", "builds/worker.py"}
#: Words that say nothing about what a thing is.
EMPTY_WORDS: Final = {"Handler", "Helper", "Helpers", "Manager", "Util", "Utils"}
EMPTY_MODULES: Final = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}
#: What the API calls a kind of image, and the methods that SQLAlchemy asks a column type for.
NAMED_BY_OTHERS: Final = {"BaseImage", "process_bind_param", "process_result_value"}


def modules(folder: Path) -> list[Path]:
    """The Python files below a folder of the project."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


CODE: Final = [*modules(SOURCE), *modules(ROOT / "tests"), *modules(ROOT / "benchmarks")]


def name(path: Path) -> str:
    """The name that a test's report shows."""
    return str(path.relative_to(ROOT))


def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text("utf-8"), path)


@pytest.mark.parametrize("path", CODE, ids=name)
def test_a_file_and_its_functions_are_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) < LONGEST_FILE
    long = [
        f"{node.name} ({node.end_lineno - node.lineno + 1} lines)"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 >= LONGEST_FUNCTION
    ]
    assert not long


@pytest.mark.parametrize("path", CODE, ids=name)
def test_a_module_says_in_one_sentence_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(parse(path))
    assert docstring
    sentence = " ".join(docstring.split("\n\n")[0].split())
    assert sentence.endswith(".")
    assert not re.search(r"\. [A-Z]", sentence)


@pytest.mark.parametrize("path", CODE, ids=name)
def test_names_say_what_a_thing_is(path: Path) -> None:
    assert path.stem not in EMPTY_MODULES
    for node in ast.walk(parse(path)):
        match node:
            case ast.ClassDef(name=word) if word not in NAMED_BY_OTHERS:
                words = set(re.findall(r"[A-Z][a-z]+|[A-Z]+(?![a-z])", word))
                assert not words & EMPTY_WORDS, word
                assert not re.match(r"Base[A-Z]", word), word
            case ast.FunctionDef(name=word) if word not in NAMED_BY_OTHERS:
                assert not re.match(r"_*(do|process)_[a-z]", word), word


def test_any_exception_is_caught_in_two_places_only() -> None:
    found = {
        str(path.relative_to(SOURCE))
        for path in modules(SOURCE)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ExceptHandler) and catches_all(node)
    }
    assert found <= CATCH_ALL


def catches_all(handler: ast.ExceptHandler) -> bool:
    """Whether a handler takes every exception there is and keeps it: one that undoes may raise it again."""
    if isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None:
        return False
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(
        kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"})
        for kind in kinds
    )


@pytest.mark.parametrize("package", ["core", "plugins", "clouds", "systems", "builds"])
def test_values_are_frozen(package: str) -> None:
    thawed = [
        f"{name(path)}: {node.name}"
        for path in modules(SOURCE / package)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ClassDef)
        for decorator in map(ast.unparse, node.decorator_list)
        if decorator.startswith("dataclass") and "frozen=True" not in decorator
    ]
    assert not thawed


def test_every_imported_distribution_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {
        canonical(re.split(r"[<>=\[; ]", requirement)[0])
        for requirement in chain(
            project["dependencies"], *project["optional-dependencies"].values()
        )
    }
    providers = packages_distributions()
    imported = {top for path in modules(SOURCE) for top in imports(path)}
    foreign = imported - set(sys.stdlib_module_names) - {"imagefactory"}
    undeclared = {
        top
        for top in foreign
        if not top.startswith("types_")  # stubs, which only the type checker reads
        and not declared & {canonical(provider) for provider in providers.get(top, [top])}
    }
    assert not undeclared


def test_setup_installs_every_program_that_the_engine_starts() -> None:
    setup = (ROOT / "scripts" / "setup").read_text()
    lists = re.findall(r"(?:RUN|FOREIGN)_PACKAGES=\((.*?)\)", setup, re.DOTALL)
    assert not set(PROGRAMS.values()) - {name for one in lists for name in one.split()}


@pytest.mark.parametrize("group", ["imagefactory.systems", "imagefactory.clouds"])
def test_every_entry_point_leads_to_a_plugin(group: str, tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found = {entry.name: entry for entry in entry_points(group=group)}
    for entry, value in project["entry-points"][group].items():
        assert found[entry].value == value
        assert found[entry].load()(Config(state=tmp_path)).info.id


def canonical(distribution: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def imports(path: Path) -> Iterator[str]:
    """The top-level names of all that a file imports."""
    for node in ast.walk(parse(path)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name.split(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module)):
                yield module.split(".")[0]


@pytest.fixture(scope="module")
def project_files() -> list[Path]:
    """Every file that is or would be committed."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("this is not a git checkout")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.decode()
    return [ROOT / entry for entry in listing.split("\0") if (ROOT / entry).is_file()]


def test_no_file_names_a_package_index(project_files: list[Path]) -> None:
    hosts = set(chain(apt_hosts(), pip_hosts(), npm_hosts())) - {"", "localhost", "127.0.0.1"}
    assert hosts
    assert not [
        f"{name(path)}: {host}"
        for path in project_files
        for host in hosts
        if host.encode() in path.read_bytes()
    ]


def test_no_file_names_the_folder_of_this_checkout(project_files: list[Path]) -> None:
    folders = {ROOT}
    if len(ROOT.parent.parts) > 1 and not ROOT.parent.is_relative_to("/tmp"):
        folders.add(ROOT.parent)
    folders -= {Path("/home"), Path("/opt"), Path("/root"), Path("/srv"), Path("/usr/src")}
    mention = re.compile(
        "|".join(rf"(?<![\w/.~-]){re.escape(str(folder))}/" for folder in folders).encode()
    )
    assert not [name(path) for path in project_files if mention.search(path.read_bytes())]


def apt_hosts() -> Iterator[str]:
    """The hosts of this machine's apt sources, in both formats."""
    for path in Path("/etc/apt").glob("sources.list*"):
        for entry in [path, *path.glob("*.list"), *path.glob("*.sources")]:
            if entry.is_file():
                for url in re.findall(r"[a-z+]+://\S+", entry.read_text("utf-8")):
                    yield urlsplit(url).hostname or ""


def pip_hosts() -> Iterator[str]:
    """The hosts that pip asks: by default, and as this machine sets it up."""
    yield PyPI.netloc
    yield PyPI.file_storage_domain
    values = [value for key, value in os.environ.items() if re.match(r"(PIP|UV)_.*INDEX", key)]
    for path in (
        "/etc/pip.conf",
        "/etc/xdg/pip/pip.conf",
        "~/.pip/pip.conf",
        "~/.config/pip/pip.conf",
    ):
        settings = configparser.RawConfigParser()
        settings.read(Path(path).expanduser())
        values += [
            value
            for section in settings.sections()
            for key, value in settings.items(section)
            if "index" in key
        ]
    for url in " ".join(values).split():
        yield urlsplit(url).hostname or ""


def npm_hosts() -> Iterator[str]:
    """The host of npm's registry, where npm is installed."""
    if npm := shutil.which("npm"):
        found = subprocess.run(
            [npm, "config", "get", "registry"], check=False, capture_output=True, text=True
        )
        yield urlsplit(found.stdout.strip()).hostname or ""
