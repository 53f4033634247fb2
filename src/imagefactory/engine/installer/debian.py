"""The plan of an installation with Debian's own installer."""

from dataclasses import dataclass
from typing import Final

from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.boot.step import plan_boot_test
from imagefactory.engine.disk.layout import DEFAULT_SIZE
from imagefactory.engine.installer.fetching import FetchDebianInstaller
from imagefactory.engine.installer.preseed import Server
from imagefactory.engine.installer.refusal import refuse_direct
from imagefactory.engine.installer.steps import (
    AnswerDebian,
    DescribeDisk,
    GiveAnswers,
    RunInstaller,
)
from imagefactory.engine.installer.watching import Limits
from imagefactory.engine.packages.apt_sources import Archive
from imagefactory.engine.plan import Plan, Step

_FOLDER: Final = "main/installer-amd64/current/images"


@dataclass(frozen=True, kw_only=True)
class DebianInstaller:
    """Where the installer of one release lies, and how long it may take."""

    archive: Archive  #: the first suite is the release, the last its security updates
    install: float  #: seconds
    boot: float  #: seconds until the finished disk must be up

    def plan(self, template: Template, parameters: Parameters) -> Plan:
        """The steps; `RequestError` for what the installer does not carry out."""
        script = parameters.text("install_script")
        refuse_direct(template, given=bool(script))
        suites = self.archive.suites
        release, security = suites[0], suites[-1]
        server = Server(
            url=self.archive.url,
            security=self.archive.place(security),
            suite=release.name,
            packages=tuple(package.name for package in template.packages),
            kernel_arguments=template.os.kernelparam or "",
        )
        answers: Step = AnswerDebian(server=server, password=template.os.rootpw)
        if script:
            answers = GiveAnswers(text=Secret(script))
        return (
            FetchDebianInstaller(
                release=self.archive.sources[0].release,
                folder=_FOLDER,
                keyring=self.archive.guest_keyring,  # the same file on the host
            ),
            answers,
            RunInstaller(
                name=f"{template.os.name} {template.os.version}",
                kind="preseed",
                size=template.disk_size or DEFAULT_SIZE,
                sources=tuple(dict.fromkeys(map(self.archive.place, suites))),
                limits=Limits(install=self.install),
            ),
            DescribeDisk(
                description=template.description,
                enabled=parameters.boolean("generate_icicle", default=True),
            ),
            # The answers that are written here install GRUB for a BIOS; given ones may do otherwise.
            *plan_boot_test(parameters, firmwares=("bios",), timeout=self.boot),
        )


def wants_installer(parameters: Parameters) -> bool:
    """Whether the client has asked for the distribution's own installer."""
    asked = parameters.boolean("installer", default=False)
    return bool(parameters.text("install_script")) or asked
