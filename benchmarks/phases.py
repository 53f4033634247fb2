"""How long each phase of a real build takes, from the events that the build itself leaves."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Final

from imagefactory.store.rows import Event

#: what is done in a phase, as builds tell it; what is not here belongs to the phase before
_PHASES: Final[Mapping[str, re.Pattern[str]]] = {
    name: re.compile(activities)
    for name, activities in {
        "start": "Initializing",
        "resolve": "Resolving",
        "fetch": "Fetching",
        "unpack": r"Installing the base system|Installing \d+ essential packages",
        "configure": r"Installing \d+ packages of the base system|Checking the base",
        "initramfs": "Making the initramfs",
        "packages": r"Installing packages|Installing \d+ packages$",
        "customise": "Adding package|Running|Writing|Setting|Locking|Removing",
        "disk": "Preparing the system to boot|Listing|Making the disk",
        "boot": "Booting",
        "seal": "Sealing",
    }.items()
}


def phases(events: Sequence[Event]) -> dict[str, float]:
    """Seconds of each phase, in their order, from the first event to the last."""
    spent: dict[str, float] = {}
    phase = "start"
    for event, following in itertools.pairwise(events):
        phase = _phase_of(event.activity, phase)
        spent[phase] = spent.get(phase, 0.0) + (following.time - event.time).total_seconds()
    return spent


def _phase_of(activity: str, before: str) -> str:
    return next((name for name, known in _PHASES.items() if known.match(activity)), before)
