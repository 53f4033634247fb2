"""What clouds have in common to which people carry the images themselves: a push is refused."""

from pathlib import Path
from typing import ClassVar, NoReturn

from imagefactory.core.errors import RequestError
from imagefactory.core.images import ProviderImage
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.plan import Report
from imagefactory.plugins.contract import Customization, Pushed


class Unpushed:
    """A cloud without a push, which adds nothing to the guest: all that is asked of an account is refused."""

    target: ClassVar[str]
    instead: ClassVar[str]  #: what to do, a hint

    def login(self, provider: str, credentials: Secret) -> NoReturn:  # noqa: ARG002
        self._refuse()

    def customization(self, template: Template) -> Customization:  # noqa: ARG002
        return Customization()

    def check(self, login: object) -> None:  # noqa: ARG002
        self._refuse()

    def push(
        self,
        image: ProviderImage,  # noqa: ARG002
        disk: Path,  # noqa: ARG002
        login: object,  # noqa: ARG002
        report: Report,  # noqa: ARG002
    ) -> Pushed:
        self._refuse()

    def find(self, token: str, login: object) -> Pushed | None:  # noqa: ARG002
        self._refuse()

    def delete(self, identifier: str, login: object) -> None:  # noqa: ARG002
        self._refuse()

    def _refuse(self) -> NoReturn:
        msg = f'Images of the target "{self.target}" cannot be pushed'
        raise RequestError(msg, hint=self.instead)
