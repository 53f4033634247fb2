"""How long each phase of a real build takes, from the events that the build itself leaves."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from imagefactory.store.rows import Event

#: how an activity begins -> the phase that it belongs to; what is not here belongs to the one before
_PHASES: Final[Mapping[str, str]] = {
    "Initializing": "start",
    "Resolving": "resolve",
    "Fetching": "fetch",
    "Installing the base system": "unpack",
    "Making the initramfs": "initramfs",
    "Adding package sources": "customise",
    "Preparing the system to boot": "disk",
    "Booting": "boot",
    "Sealing": "seal",
}
_CONFIGURE: Final = "packages of the base system"


def phases(events: Sequence[Event]) -> dict[str, float]:
    """Seconds of each phase, in their order, from the first event to the last."""
    spent: dict[str, float] = {}
    phase = "start"
    for event, following in itertools.pairwise(events):
        phase = _phase_of(event.activity, phase)
        spent[phase] = spent.get(phase, 0.0) + (following.time - event.time).total_seconds()
    return spent


def _phase_of(activity: str, before: str) -> str:
    if activity.endswith(_CONFIGURE):
        return "configure"
    for beginning, phase in _PHASES.items():
        if activity.startswith(beginning):
            return phase
    return before
