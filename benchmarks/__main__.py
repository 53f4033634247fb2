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

from benchmarks import formats, phases
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
        "machine": {"processors": os.cpu_count(), "kind": platform.machine()},
        "builds": builds,
        "formats": [asdict(comparison) for comparison in compared],
    }
    _RESULTS.parent.mkdir(exist_ok=True)
    _RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    sys.stdout.write(_table(builds) + _comparisons(compared))
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


def _table(builds: dict[str, dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for build in builds.values() for name in build["phases"]))
    lines = [f"{'phase':12}" + "".join(f"{name + ', s':>10}" for name in builds)]
    for name in names:
        spent = (build["phases"].get(name, 0.0) for build in builds.values())
        lines.append(f"{name:12}" + "".join(f"{seconds:10.1f}" for seconds in spent))
    totals = (sum(build["phases"].values()) for build in builds.values())
    lines.append(f"{'all':12}" + "".join(f"{seconds:10.1f}" for seconds in totals))
    return "\n".join(lines) + "\n"


def _comparisons(compared: list[formats.Comparison]) -> str:
    lines = ["", f"{'format':12}{'ours, s':>10}{'qemu-img':>10}{'ratio':>8}{'size ratio':>12}"]
    for row in compared:
        sizes = row.our_size / row.peer_size
        lines.append(
            f"{row.format:12}{row.ours:10.2f}{row.peer:10.2f}{row.ours / row.peer:8.2f}{sizes:12.2f}"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
