"""The plan of an installation with Anaconda, the installer of Fedora and Red Hat Enterprise Linux."""

from dataclasses import dataclass

from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.boot.step import plan_boot_test
from imagefactory.engine.disk.layout import DEFAULT_SIZE
from imagefactory.engine.installer.fetching import FetchAnaconda
from imagefactory.engine.installer.gateway import PROXY
from imagefactory.engine.installer.kickstart import Server
from imagefactory.engine.installer.refusal import refuse_direct
from imagefactory.engine.installer.steps import (
    AnswerAnaconda,
    DescribeDisk,
    GiveAnswers,
    RunInstaller,
)
from imagefactory.engine.installer.watching import Limits
from imagefactory.engine.plan import Plan, Step


@dataclass(frozen=True, kw_only=True)
class AnacondaInstaller:
    """Whose words the release's Anaconda speaks, and how long it may take."""

    dialect: int  #: 5 to 10, see `kickstart`
    install: float  #: seconds
    boot: float  #: seconds until the finished disk must be up

    def plan(self, template: Template, parameters: Parameters) -> Plan:
        """The steps; `RequestError` for what the installer does not carry out."""
        script, url = parameters.text("install_script"), template.os.install.url
        refuse_direct(template, given=bool(script))
        server = Server(
            dialect=self.dialect,
            url=url,
            packages=tuple(package.name for package in template.packages),
            kernel_arguments=template.os.kernelparam or "",
        )
        answers: Step = AnswerAnaconda(server=server, password=template.os.rootpw)
        if script:
            answers = GiveAnswers(text=Secret(script))
        return (
            FetchAnaconda(url=url, arch=template.os.arch),
            answers,
            RunInstaller(
                name=f"{template.os.name} {template.os.version}",
                kind="kickstart",
                size=template.disk_size or DEFAULT_SIZE,
                sources=(url,),
                arguments=self._arguments(url),
                limits=Limits(install=self.install),
            ),
            DescribeDisk(
                description=template.description,
                enabled=parameters.boolean("generate_icicle", default=True),
            ),
            *plan_boot_test(parameters, firmwares=("bios",), timeout=self.boot),
        )

    def _arguments(self, url: str) -> tuple[str, ...]:
        """Where the rest of the installer lies, which is not in its initrd."""
        if self.dialect <= 6:
            return ("text", f"method={url}", f"proxy={PROXY}")
        return ("inst.text", f"inst.repo={url}", f"inst.proxy={PROXY}")
