"""Finds parameters that nothing reads, which a strict request must not have."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from imagefactory.builds.planner import Planner
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template
from imagefactory.core.vocabulary import PARAMETERS


def refuse_unknown(
    planner: Planner, template: Template, parameters: Mapping[str, Any] | None
) -> None:
    """`RequestError` that names the first parameter which is neither documented nor read by a plugin.

    Clients send one set of parameters to all stages of a build, so what any cloud reads is known.
    """
    given = Parameters(parameters or {})
    with suppress(RequestError):
        planner.base(template, given)
    for cloud in planner.registry.clouds:
        for target in cloud.targets:
            with suppress(RequestError):
                planner.target(target, template, given)
    known = PARAMETERS | given.asked
    for name in given.given:
        if name not in known:
            msg = f'The parameter "{name}" is unknown'
            raise RequestError(msg, hint=_hint(name, known))


def _hint(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, sorted(known), n=3)
    words = " or ".join(f'"{word}"' for word in near)
    return f"Did you mean {words}?" if near else 'Leave it out, or leave out "strict"'
