"""A build in a folder of a test's own, which remembers what it reported."""

from dataclasses import dataclass, field
from pathlib import Path

from imagefactory.engine.command import Tools
from imagefactory.engine.plan import Build


@dataclass(frozen=True)
class Told:
    """A report that keeps all it is told."""

    percents: list[int] = field(default_factory=list)
    activities: list[str] = field(default_factory=list)

    def __call__(self, percent: int, activity: str | None = None) -> None:
        self.percents.append(percent)
        if activity is not None:
            self.activities.append(activity)


def a_build(
    state: Path,
    *,
    build_id: str = "9ac0d5c5-2b2a-4f3b-9d5a-0d4d3f6b7c11",
    source: Path | None = None,
    tools: Tools | None = None,
    told: Told | None = None,
) -> Build:
    """A build whose folders exist."""
    build = Build(
        id=build_id,
        state=state,
        scratch=state / "scratch" / build_id,
        cache=state / "cache",
        artifacts=state / "artifacts" / build_id,
        tools=tools or Tools(),
        report=told or Told(),
        source=source,
    )
    for folder in (build.scratch, build.cache, build.artifacts):
        folder.mkdir(parents=True, exist_ok=True)
    return build
