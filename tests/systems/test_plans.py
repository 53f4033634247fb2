"""The plans of every system, release and target, as text that a reviewer can read."""

import difflib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from imagefactory.builds.planner import Planner, SetAside
from imagefactory.clouds.mock import MockCloud
from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template, parse
from imagefactory.engine.plan import Plan, show
from imagefactory.plugins.registry import load
from imagefactory.systems.mock import MockOS

GOLDEN: Final = Path(__file__).parent.parent / "golden" / "plans"
EXAMPLE: Final = Path(__file__).parent.parent.parent / "examples" / "debian.tdl"

REGISTRY: Final = load(Config())
#: all that is built, and all that it is built for, but the mock pair; other spellings of a name aside.
#: Where any version is served, one is shown.
RELEASES: Final = tuple(
    (name, version or "1", arch or "x86_64")
    for system in REGISTRY.systems
    for name, version, arch in system.targets
    if not isinstance(system, MockOS)
)
TARGETS: Final = sorted(
    {
        target.lower()
        for cloud in REGISTRY.clouds
        for target in cloud.targets
        if not isinstance(cloud, MockCloud)
    }
)
#: releases of the RPM family that only their own installer makes
INSTALLED: Final = ("-5", "-6", "-7", "-8")
INSTALLER: Final = "debian-12-installer.txt"  # of `test_debian.py`


@pytest.fixture
def planner() -> Planner:
    return Planner(registry=REGISTRY)


def example(name: str, version: str, arch: str) -> Template:
    """The template of the examples, for any system."""
    template = parse(EXAMPLE.read_bytes())
    install = replace(template.os.install, url=f"http://mirror.example.org/{name.lower()}")
    wanted = replace(template.os, name=name, version=version, arch=arch, install=install)
    if name.endswith(INSTALLED):  # an installer takes no files and no commands
        template = replace(template, files=(), commands=())
    return replace(template, os=wanted)


def file_of(name: str, version: str, arch: str) -> str:
    return "-".join([name.lower(), version, *([] if arch == "x86_64" else [arch])]) + ".txt"


def test_each_file_is_a_plan_that_is_made() -> None:
    assert REGISTRY.failures == []
    plans = {file_of(*release) for release in RELEASES}
    forms = {f"target-{target}.txt" for target in TARGETS}
    assert {path.name for path in GOLDEN.iterdir()} == plans | forms | {INSTALLER}


@pytest.mark.parametrize("release", RELEASES, ids="-".join)
def test_the_plan_of_a_release_is_as_reviewed(
    planner: Planner, release: tuple[str, str, str]
) -> None:
    text = show(planner.base(example(*release), Parameters()))
    assert text == reviewed(file_of(*release), text)
    assert "change-me" not in text


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_target_adds_to_each_release_is_as_reviewed(planner: Planner, target: str) -> None:
    """Releases to which it adds the same stand together; what follows is the disk's form."""
    added: dict[str, list[str]] = {}
    forms: dict[str, list[str]] = {}
    for release in RELEASES:
        added_here, form = shown(planner, target, example(*release))
        added.setdefault(added_here, []).append(" ".join(release))
        forms.setdefault(form, []).append(" ".join(release))
    text = "".join((*sections("Added to", added), *sections("The form of", forms)))
    assert text == reviewed(f"target-{target}.txt", text)


def shown(planner: Planner, target: str, template: Template) -> tuple[str, str]:
    """What is added to the base's plan, and the steps that give its disk the target's form."""
    try:
        plan = planner.target(target, template, Parameters())
    except RequestError as refusal:
        return "nothing\n", f"refused: {refusal}\n"
    customize, form = parts(plan)
    base = planner.base(template, Parameters())
    return "".join(changed(base, customize)) if customize else "nothing\n", show(form)


def parts(plan: Plan) -> tuple[Plan, Plan]:
    """What customizes the disk, and what gives it its form."""
    for number, step in enumerate(plan):
        if isinstance(step, SetAside):
            return plan[:number], plan[number + 1 :]
    return (), plan


def changed(base: Plan, customized: Plan) -> Iterator[str]:
    old, new = (show(plan).splitlines(keepends=True) for plan in (base, customized))
    for line in difflib.ndiff(old, new):
        if line[:2] in {"- ", "+ "}:
            yield line


def sections(title: str, found: dict[str, list[str]]) -> Iterable[str]:
    """Most often all releases have the same."""
    for text, names in found.items():
        whose = "all" if len(found) == 1 else ", ".join(names)
        yield f"## {title} {whose}\n{text}\n"


def reviewed(file: str, text: str) -> str:
    """The golden file's text; `UPDATE_GOLDEN=1` writes it anew, and the commit says why it changed."""
    golden = GOLDEN / file
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert golden.exists(), "make it with UPDATE_GOLDEN=1, and read it"
    return golden.read_text()
