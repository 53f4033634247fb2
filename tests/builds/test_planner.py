"""Plans are values: what a kind of image is made of, told without making it."""

from pathlib import Path

import pytest

from fakes.plugins import Act, FakeCloud, Mark, a_template, fake_registry
from imagefactory.builds.planner import Planner, Push, SetAside
from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.target_content import parse as parse_content
from imagefactory.core.template import NOWHERE, parse
from imagefactory.engine.plan import show

IMAGE = ProviderImage(id="9ac0d5c5-2b2a-4f3b-9d5a-0d4d3f6b7c11", provider="account", target="fake")


@pytest.fixture
def planner(tmp_path: Path) -> Planner:
    return Planner(registry=fake_registry(Config(state=tmp_path)))


def test_a_base_image_is_what_its_system_plans(planner: Planner) -> None:
    plan = planner.base(parse(a_template()), Parameters({"step1": "fail"}))
    assert plan == (Act(number=0), Act(number=1, mood="fail"), Act(number=2))


def test_a_target_image_is_what_its_cloud_plans(planner: Planner) -> None:
    assert planner.target("fake", parse(a_template()), Parameters()) == (Mark(word="converted"),)


def test_a_target_image_is_customized_first_where_its_cloud_asks(planner: Planner) -> None:
    plan = planner.target("fake", parse(a_template(name="customized")), Parameters())
    assert plan == (Mark(word="tuned"), SetAside(), Mark(word="converted"))


def test_a_target_image_gets_what_the_operator_adds(tmp_path: Path) -> None:
    document = (
        b'<template_includes><include target="fake"><packages><package name="acl"/></packages>'
        b'<repositories><repository name="tools"><url>http://mirror.example.org/tools</url>'
        b"</repository></repositories></include></template_includes>"
    )
    planner = Planner(
        registry=fake_registry(Config(state=tmp_path)), content=parse_content(document, origin="f")
    )
    template, added = parse(a_template(name="customized")), (Mark(word="tools"), Mark(word="acl"))
    plan = planner.target("fake", template, Parameters())
    assert plan == (*added, Mark(word="tuned"), SetAside(), Mark(word="converted"))
    assert not {*added} & {*planner.target("customizing", template, Parameters())}


def test_a_disk_that_was_made_elsewhere_is_not_made_again(planner: Planner) -> None:
    text = a_template(name="customized").replace("http://mirror.example.org/fake", NOWHERE)
    assert planner.target("fake", parse(text), Parameters()) == (Mark(word="converted"),)


def test_a_provider_image_is_a_push_that_shows_no_secret(planner: Planner) -> None:
    plan = planner.provider(IMAGE, Secret("hunter2"))
    assert [type(step) for step in plan] == [Push]
    assert plan[0].activity == 'Pushing the image to "fake"'
    assert "hunter2" not in show(plan)
    assert plan[0].key == planner.provider(IMAGE, Secret("changed"))[0].key


def test_what_no_plugin_serves_is_refused_by_name(planner: Planner) -> None:
    template = parse(a_template(system="NoOS"))
    with pytest.raises(RequestError, match='"NoOS 1 x86_64"'):
        planner.base(template, Parameters())
    with pytest.raises(RequestError, match="nosuch"):
        planner.target("nosuch", template, Parameters())


def test_the_fakes_are_clouds_like_any(tmp_path: Path) -> None:
    login = FakeCloud(Config(state=tmp_path)).login("account", Secret("hunter2"))
    assert "hunter2" not in repr(login)
