"""Checks and locks templates in this process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from imagefactory.cli.service import Faults
from imagefactory.core.config import Config
from imagefactory.core.errors import TemplateError
from imagefactory.core.lock import Lock
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import parse


@dataclass(frozen=True, kw_only=True)
class LocalDrafts:
    """Templates as this installation understands them."""

    config: Config

    def check(self, template: bytes) -> Faults:
        """What is wrong in a template; nothing when it is valid."""
        try:
            parse(template)
        except TemplateError as error:
            return error.faults or ((1, str(error)),)
        return ()

    def lock(
        self, template: str, parameters: Mapping[str, Any], *, log: Callable[[str], None]
    ) -> Lock:
        """The exact packages that a template resolves to; `RequestError`, or what the steps raise."""
        from imagefactory.builds.locking import resolve  # noqa: PLC0415 - loads the engine,
        from imagefactory.builds.planner import Planner  # noqa: PLC0415 - which checking
        from imagefactory.plugins import registry  # noqa: PLC0415 - does not need

        return resolve(
            parse(template),
            Parameters(parameters),
            planner=Planner(registry=registry.load(self.config)),
            config=self.config,
            log=log,
        )
