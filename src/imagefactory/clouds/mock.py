"""A cloud that takes everything and keeps nothing: it tries out a factory without an account."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.files import write_atomically
from imagefactory.engine.formats.convert import Convert
from imagefactory.engine.plan import Build, Plan, Report, Step
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Customization, Info, Pushed


@dataclass(frozen=True, kw_only=True)
class WriteSentence(Step):
    """The whole body of a mock system's target image; clients' test suites know it to the letter."""

    @property
    def activity(self) -> str:
        return "Writing a sentence instead of a disk"

    def run(self, build: Build) -> None:
        write_atomically(build.disk, f"MockOS target_image file for id ({build.id})")


@dataclass(frozen=True, kw_only=True)
class MockLogin:
    """What a mock cloud needs to know."""

    account: str = "mock_user"


class MockCloud:
    """Every push succeeds at once; a real system's disk becomes the target image as it is."""

    def __init__(self, _config: Config) -> None:
        pass

    @property
    def info(self) -> Info:
        return info("MockCloud", "cloud", "Mock cloud: pushes succeed and go nowhere")

    @property
    def targets(self) -> Sequence[str]:
        return (
            "MockCloud",
            "mock",
            "mockcloud",
            "mocksphere",
            "rhevmock",
            "ecmock",
            "mockspace",
            "mockstack",
        )

    def login(self, provider: str, credentials: Secret) -> MockLogin:
        if not provider.strip() or not credentials.reveal().strip():
            msg = 'The target "mock" takes any provider and credentials, but not empty ones'
            raise RequestError(msg)
        return MockLogin()

    def customization(self, template: Template) -> Customization:
        return Customization()

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        if template.os.name.startswith("MockOS"):
            return (WriteSentence(),)
        return (Convert(format="raw"),)

    def check(self, login: MockLogin) -> None:
        pass

    def push(self, image: ProviderImage, disk: Path, login: MockLogin, report: Report) -> Pushed:
        report(100, "Nothing to upload")
        return Pushed(identifier=str(uuid.uuid4()), account=login.account)

    def snapshot(
        self, image: ProviderImage, template: Template, login: MockLogin, report: Report
    ) -> Pushed:
        report(100, "Nothing to build")
        return Pushed(identifier=str(uuid.uuid4()), account=login.account)

    def find(self, token: str, login: MockLogin) -> Pushed | None:
        return None

    def delete(self, identifier: str, login: MockLogin) -> None:
        pass
