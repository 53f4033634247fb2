"""What was found when an image was held against what its build has recorded."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

#: the looks of which one at least must have found all well: the bytes, or who vouches for them
BODY: Final = "body"
SIGNATURE: Final = "signature"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one look has found; `fine` is None where the build has left nothing to look at."""

    subject: str
    fine: bool | None
    detail: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All that can be said of an image."""

    findings: tuple[Finding, ...]

    @property
    def fine(self) -> bool:
        """Whether nothing is wrong, and something was there to look at."""
        looked = any(each.fine for each in self.findings if each.subject in {BODY, SIGNATURE})
        return looked and all(each.fine is not False for each in self.findings)

    def shown(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"fine": self.fine, "findings": [asdict(each) for each in self.findings]}

    @classmethod
    def read(cls, shown: Mapping[str, Any]) -> Self:
        """The verdict that was `shown`."""
        return cls(findings=tuple(Finding(**each) for each in shown["findings"]))
