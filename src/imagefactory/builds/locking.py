"""Resolves a template to its exact packages without building anything."""

import uuid
from collections.abc import Callable
from itertools import takewhile

from imagefactory.builds.claim import claim
from imagefactory.builds.planner import Planner
from imagefactory.builds.scratch import Scratch
from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.core.lock import Lock
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template
from imagefactory.engine.command import Cancellation, Tools
from imagefactory.engine.packages.locked import FetchPackages, read_lock
from imagefactory.engine.plan import Build, Step


def resolve(
    template: Template,
    parameters: Parameters,
    *,
    planner: Planner,
    config: Config,
    log: Callable[[str], None],
    cancellation: Cancellation | None = None,
) -> Lock:
    """Run the steps of the template's plan that come before anything is fetched; nothing is kept.

    `RequestError` for a system that is not made of packages, else what the steps raise.
    """
    plan = planner.base(template, parameters)
    if not any(isinstance(step, FetchPackages) for step in plan):
        msg = f'The system "{template.os.name}" is not made of packages that could be locked'
        raise RequestError(msg)
    scratch = Scratch(state=config.state, folder=config.scratch / f"lock-{uuid.uuid4().hex}")
    scratch.prepare()
    config.cache.mkdir(parents=True, exist_ok=True)
    build = Build(
        id=scratch.folder.name,
        state=config.state,
        scratch=scratch.folder,
        cache=config.cache,
        artifacts=scratch.folder / "artifacts",
        tools=Tools(log=log, cancellation=cancellation or Cancellation()),
        report=_unreported,
        mirrors=config.mirrors,
        keyrings=config.keyrings,
        snapshots=config.snapshots,
    )
    with claim(scratch.folder):
        try:
            with build.cleanup:
                for step in takewhile(_resolves, plan):
                    step.run(build)
            return read_lock(build)
        finally:
            scratch.clear()


def _resolves(step: Step) -> bool:
    return not isinstance(step, FetchPackages)


def _unreported(percent: int, activity: str | None = None) -> None:
    pass
