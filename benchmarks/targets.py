"""Eight targets of one base image at the same time, beside the slowest of them alone.

As a program, `python -m benchmarks.targets CONFIG BASE TARGET…`, it makes these and waits for them.
"""

import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from benchmarks import efforts, ours, results, tables
from benchmarks.efforts import Command, Effort, Work
from benchmarks.ours import Factory
from benchmarks.rows import Row
from imagefactory.builds.factory import open_factory
from imagefactory.core.config import Config
from imagefactory.core.errors import BuildError
from imagefactory.core.images import Status

_TARGETS: Final = ("azure", "docker", "ec2", "gce", "hyperv", "local", "openstack-kvm", "vsphere")
_LIMIT: Final = 1.5
_MEMORY: Final = 400  # MiB
_PERIOD: Final = 0.02  # seconds between looks at the images


def measure(runs: int) -> None:
    """Each alone and all together, in turn."""
    machine = results.machine()
    with ours.factory() as factory:
        factory.forget_images()
        base = factory.built(factory.template())["identifier"]
        works = [_work(factory, base, target) for target in _TARGETS]
        everyone = _work(factory, base, *_TARGETS)
        efforts.once(everyone)  # makes the layers
        measured = efforts.in_turn([*works, replace(everyone, name="all eight")], runs=runs)
        factory.forget_images()
    names = [*_TARGETS, "all eight"]
    shown: dict[str, Effort | str] = dict(zip(names, measured, strict=True))
    slowest = max(range(len(_TARGETS)), key=lambda number: measured[number].seconds)
    together = measured[-1]
    results.keep(
        "targets",
        {"machine": machine, "runs": runs, "efforts": dict(zip(names, map(asdict, measured), strict=True))},
        text=tables.of_efforts(shown),
        rows=[
            Row.of_time(
                "eight targets of one base", together, limit=_LIMIT, peer=measured[slowest],
                against=f"{_TARGETS[slowest]} alone",
            ),
            Row(work="memory of eight targets", ours=together.peak / (1 << 20), unit="MiB", limit=_MEMORY),
        ],
    )  # fmt: skip


def _work(factory: Factory, base: str, *targets: str) -> Work:
    config = factory.state / "imagefactory.conf"
    command: Command = [sys.executable, "-m", "benchmarks.targets", config, base, *targets]
    return factory.work(
        " ".join(targets), command, prepare=lambda: factory.forget_bodies(besides=base)
    )


def main() -> int:
    """Make the images."""
    file, base, *targets = sys.argv[1:]
    content: dict[str, Any] = json.loads(Path(file).read_text())
    config = Config.parse({**content, "max_concurrent_local_sessions": len(targets)})
    with open_factory(config, in_process=True) as factory:
        images = [
            factory.create_target_image(
                target=target, base_image_id=base, parameters={"boot_test": False}
            )
            for target in targets
        ]
        waiting = {image.id for image in images}
        while waiting:
            time.sleep(_PERIOD)
            for id in tuple(waiting):
                found = factory.find(id)
                if found is not None and found.settled:
                    waiting.discard(id)
                    if found.status is not Status.COMPLETE:
                        msg = f"The image failed: {found.error}"
                        raise BuildError(msg)
    return 0


if __name__ == "__main__":
    sys.exit(main())
