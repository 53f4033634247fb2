"""Builds the example for real, with and without its layers cached, and sees where the time goes."""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks import phases, results, tables
from imagefactory.builds.factory import Factory, open_factory
from imagefactory.core.config import Config
from imagefactory.core.errors import FactoryError
from imagefactory.core.images import Status
from imagefactory.engine.command import Tools
from imagefactory.engine.packages.apt_sources import machine_mirrors
from imagefactory.engine.sandbox import Sandbox

_ROOT: Final = Path(__file__).resolve().parent.parent
_EXAMPLE: Final = _ROOT / "examples" / "debian.tdl"


def measure(runs: int) -> None:
    """Build twice, and keep the figures; `FactoryError` when a build fails."""
    del runs  # the tables of others say how much runs vary
    machine = results.machine()
    state = Path(tempfile.mkdtemp(prefix="imagefactory-bench-"))
    state.chmod(0o711)
    config = Config(state=state, tmpdir=state, mirrors=machine_mirrors())
    sandbox = Sandbox(state=state, tools=Tools())
    try:
        with open_factory(config, in_process=True) as factory:
            _build(factory, boot_test=False)  # fills the cache of packages
            sandbox.remove(config.cache / "layers")
            builds = {}
            for name in ("cold", "warm"):
                shutil.rmtree(config.cache / "images")  # or the finished disk would be taken
                builds[name] = _build(factory)
    finally:
        sandbox.remove(config.cache / "layers")
        shutil.rmtree(state)
    shown = {name: build["phases"] for name, build in builds.items()}
    results.keep("phases", {"machine": machine, "builds": builds}, text=tables.of_builds(shown))


def _build(factory: Factory, *, boot_test: bool = True) -> dict[str, Any]:
    image = factory.create_base_image(
        template=_EXAMPLE.read_text(), parameters={"boot_test": boot_test}
    )
    while (found := factory.find(image.id)) is not None and not found.settled:
        time.sleep(0.1)
    if found is None or found.status is not Status.COMPLETE:
        reason = None if found is None else found.error
        msg = f'The build of "{_EXAMPLE.name}" failed: {reason}'
        raise FactoryError(msg)
    return {"id": image.id, "phases": phases.phases(factory.events(image_id=image.id))}
