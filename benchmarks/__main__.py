"""Builds the example for real, with and without its layers cached, and writes where the time went."""

import json
import os
import platform
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks import formats, phases, tables
from imagefactory.builds.factory import Factory, open_factory
from imagefactory.core.config import Config
from imagefactory.core.errors import FactoryError
from imagefactory.core.images import Status
from imagefactory.engine.command import Tools
from imagefactory.engine.packages.apt_sources import machine_mirrors
from imagefactory.engine.sandbox import Sandbox

_ROOT: Final = Path(__file__).resolve().parent.parent
_EXAMPLE: Final = _ROOT / "examples" / "debian.tdl"
_RESULTS: Final = _ROOT / "benchmarks" / "results" / "latest.json"


def main() -> int:
    """Measure, print a table, keep the figures."""
    load, _, _ = os.getloadavg()
    state = Path(tempfile.mkdtemp(prefix="imagefactory-bench-"))
    state.chmod(0o711)
    config = Config(state=state, tmpdir=state, mirrors=machine_mirrors())
    sandbox = Sandbox(state=state, tools=Tools())
    try:
        with open_factory(config, in_process=True) as factory:
            _build(factory, boot_test=False)  # fills the cache of packages
            sandbox.remove(config.cache / "layers")
            builds = {"cold": _build(factory), "warm": _build(factory)}
            disk = factory.body(str(builds["warm"]["id"]))
            compared = formats.compare(disk, state)
    except FactoryError as error:
        sys.stderr.write(f"make bench: {error}\n")
        return 1
    finally:
        sandbox.remove(config.cache / "layers")
        shutil.rmtree(state)
    results = {
        "machine": {
            "processors": os.cpu_count(),
            "memory": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            "kind": platform.machine(),
            "load before": round(load, 2),
        },
        "builds": builds,
        "formats": [asdict(comparison) for comparison in compared],
    }
    _RESULTS.parent.mkdir(exist_ok=True)
    _RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    shown = {name: build["phases"] for name, build in builds.items()}
    text = f"{tables.of_builds(shown)}\n{tables.of_formats(compared)}"
    (_RESULTS.parent / "latest.md").write_text(text)
    sys.stdout.write(text)
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
