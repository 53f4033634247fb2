"""What Anaconda is told on its command line, and what it is not asked for."""

from dataclasses import replace

import pytest

from contract import template
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Package, Repository
from imagefactory.engine.installer.anaconda import AnacondaInstaller
from imagefactory.engine.installer.steps import RunInstaller
from imagefactory.engine.plan import Plan, show

TEMPLATE = template(name="CentOS-9", version="4")


def a_plan(dialect: int = 9, **parameters: str) -> Plan:
    installer = AnacondaInstaller(dialect=dialect, install=3600, boot=600)
    return installer.plan(TEMPLATE, Parameters(parameters))


@pytest.mark.parametrize(
    ("dialect", "word"), [(6, "method="), (7, "inst.repo="), (10, "inst.repo=")]
)
def test_the_rest_of_the_installer_is_fetched_through_the_gateway(dialect: int, word: str) -> None:
    (run,) = (step for step in a_plan(dialect) if isinstance(step, RunInstaller))
    assert f"{word}{TEMPLATE.os.install.url}" in run.arguments
    assert any(argument.endswith("proxy=http://10.0.2.100:3128/") for argument in run.arguments)
    assert run.sources == (TEMPLATE.os.install.url,)


def test_given_answers_are_not_shown() -> None:
    plan = a_plan(install_script="rootpw hidden")
    assert [type(step).__name__ for step in plan] == [
        "FetchAnaconda", "GiveAnswers", "RunInstaller", "DescribeDisk", "BootTest",
    ]  # fmt: skip
    assert "hidden" not in show(plan)


def test_repositories_are_refused() -> None:
    more = Repository(name="more", url="http://mirror.example.org/more")
    wanted = replace(TEMPLATE, repositories=(more,), packages=(Package(name="httpd"),))
    installer = AnacondaInstaller(dialect=9, install=3600, boot=600)
    with pytest.raises(RequestError, match='"repositories" of the template is not carried out'):
        installer.plan(wanted, Parameters())
