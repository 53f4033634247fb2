"""What is promised of one work, and what was measured of it."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from benchmarks.efforts import Effort

_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Row:
    """Ours, and where there is one the other program's, in one unit; the limit is of their ratio."""

    work: str
    ours: float
    unit: str  #: `s` or `MiB`
    limit: float  #: of ours over theirs, or of ours when nobody else is measured
    against: str = ""
    theirs: float | None = None
    floor: float | None = None  #: the least that any program needs to read and write the same
    larger: float | None = None  #: our bytes over theirs
    memory: float | None = None  #: MiB that ours has had at most

    @property
    def measured(self) -> float:
        """What the limit is of."""
        return self.ours if self.theirs is None else self.ours / self.theirs

    @property
    def holds(self) -> bool:
        """Whether the promise is kept."""
        return self.measured <= self.limit

    @classmethod
    def of_time(
        cls,
        work: str,
        ours: Effort,
        *,
        limit: float,
        peer: Effort | None = None,
        against: str = "",
        floor: Effort | None = None,
    ) -> Self:
        """Of how long both take."""
        return cls(
            work=work,
            ours=ours.seconds,
            unit="s",
            limit=limit,
            against=against,
            theirs=None if peer is None else peer.seconds,
            floor=None if floor is None else floor.seconds,
            larger=None if peer is None or not (ours.size and peer.size) else ours.size / peer.size,
            memory=ours.peak / _MIB,
        )

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "measured": self.measured, "holds": self.holds}
