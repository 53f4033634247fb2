"""What a factory takes, what it refuses, and what it records before anything is built."""

from dataclasses import replace
from typing import Any

import pytest

from fakes.plugins import a_template
from fakes.shop import Shop
from imagefactory.builds.work import Job
from imagefactory.core.errors import Conflict, NotFound, RequestError, TemplateError
from imagefactory.core.images import BaseImage, Image, ProviderImage, Status, TargetImage
from imagefactory.core.secret import Secret

UNKNOWN = "9ac0d5c5-2b2a-4f3b-9d5a-0d4d3f6b7c11"
RIGHT = Secret("right")


def test_a_base_image_is_recorded_and_handed_in(shop: Shop) -> None:
    image = shop.factory.create_base_image(template=a_template(), parameters={"step0": "work"})
    assert image.status is Status.NEW
    assert image.activity == "Initializing image prior to Cloud/OS customization"
    assert image.name == "fake"
    assert image.parameters == {"step0": "work"}
    assert shop.factory.image(BaseImage, image.id) == image
    assert list(shop.inbox.jobs) == [(Job.BUILD, image.id)]
    assert (shop.workshop.bodies.folder / f"{image.id}.meta").exists()


def test_a_cascade_is_recorded_whole_and_only_its_base_is_handed_in(shop: Shop) -> None:
    provider = shop.factory.create_provider_image(
        provider="account",
        credentials=RIGHT,
        target="fake",
        template=a_template(),
        parameters={"a": 1},
    )
    target = shop.factory.image(TargetImage, str(provider.target_image_id))
    base = shop.factory.image(BaseImage, str(target.base_image_id))
    assert provider.status is Status.NEW  # as it was asked for
    assert [image.status for image in (base, target)] == [Status.NEW, Status.PENDING]
    assert shop.factory.image(ProviderImage, provider.id).status is Status.PENDING
    assert all(image.parameters == {"a": 1} for image in (base, target, provider))
    assert all(image.template == a_template() for image in (base, target, provider))
    assert list(shop.inbox.jobs) == [(Job.BUILD, base.id)]


def test_parameters_that_were_not_given(shop: Shop) -> None:
    provider = shop.factory.create_provider_image(
        provider="account", credentials=RIGHT, target="fake", template=a_template()
    )
    target = shop.factory.image(TargetImage, str(provider.target_image_id))
    assert provider.parameters is None
    assert target.parameters == {}


def test_credentials_go_into_the_vault_alone(shop: Shop) -> None:
    image = shop.factory.create_provider_image(
        provider="account", credentials=Secret("s3cr3t!"), target="fake", template=a_template()
    )
    assert image.credentials_ref is not None
    assert shop.workshop.vault.get(image.credentials_ref) == Secret("s3cr3t!")
    files = [path for path in shop.state.rglob("*") if path.is_file()]
    assert not [path for path in files if b"s3cr3t!" in path.read_bytes()]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({}, "Missing parameters"),
        ({"template": None}, "Missing parameters"),
        ({"template": ""}, "Missing parameters"),
        ({"template": 7}, 'The value of "template" is not a text'),
        (
            {"template": a_template(), "parameters": {"step0": "sing"}},
            (
                'The parameter "step0" is "sing", which is not one of "work", "wait", "fail",'
                ' "fail once", "full", "bug", "die", "always die", "unfetched"'
            ),
        ),
    ],
)
def test_a_base_image_that_is_refused(shop: Shop, wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as refused:
        shop.factory.create_base_image(**({"template": None} | wanted))
    assert str(refused.value) == message
    assert not shop.factory.images()
    assert not shop.inbox.jobs


@pytest.mark.parametrize(
    ("wanted", "kind", "message"),
    [
        ({}, RequestError, "Must specify either a template or a BaseImage ID"),
        (
            {"template": a_template(), "base_image_id": UNKNOWN},
            RequestError,
            "Must specify either a template or a BaseImage ID, not both",
        ),
        ({"base_image_id": UNKNOWN}, NotFound, f"No BaseImage found with id: {UNKNOWN}"),
        (
            {"template": a_template(), "target": None},
            RequestError,
            "Missing value for key: 'target'",
        ),
    ],
)
def test_a_target_image_that_is_refused(
    shop: Shop, wanted: dict[str, Any], kind: type[RequestError], message: str
) -> None:
    with pytest.raises(kind) as refused:
        shop.factory.create_target_image(**({"target": "fake"} | wanted))
    assert str(refused.value) == message
    assert not shop.factory.images()


@pytest.mark.parametrize(
    ("wanted", "kind", "message"),
    [
        (
            {"provider": None, "template": a_template()},
            RequestError,
            "Missing key/value pair: provider(None), credentials(REDACTED), target(fake)",
        ),
        (
            {"credentials": None, "provider": '{"password": "x"}'},
            RequestError,
            'Missing key/value pair: provider({"password": "REDACTED"}), credentials(None), target(fake)',
        ),
        ({}, RequestError, "Must specify either a template or a TargetImage ID"),
        (
            {"template": a_template(), "target_image_id": UNKNOWN},
            RequestError,
            "Must specify either a template or a TargetImage ID, not both",
        ),
        ({"target_image_id": UNKNOWN}, NotFound, f"No TargetImage found with id: {UNKNOWN}"),
        (
            {"target_image_id": UNKNOWN, "parameters": {"snapshot": True}},
            RequestError,
            "Must specify a template when requesting a snapshot-style build",
        ),
        (
            {"template": a_template(), "parameters": {"snapshot": "yes"}},
            RequestError,
            'The target "fake" offers no snapshot-style builds',
        ),
        (
            {"provider": "no such", "template": a_template()},
            RequestError,
            'The provider "no such" is not a name',
        ),
    ],
)
def test_a_provider_image_that_is_refused(
    shop: Shop, wanted: dict[str, Any], kind: type[RequestError], message: str
) -> None:
    given: dict[str, Any] = {"provider": "account", "credentials": RIGHT, "target": "fake"}
    with pytest.raises(kind) as refused:
        shop.factory.create_provider_image(**(given | wanted))
    assert str(refused.value) == message
    assert not shop.factory.images()


BROKEN = "<template><name>x</name></template>"


@pytest.mark.parametrize(
    "document", [BROKEN, "http://example.org/x.tdl", a_template(system="NoOS")]
)
def test_a_template_that_nobody_can_build_is_recorded_unless_strict(
    shop: Shop, document: str
) -> None:
    shop.factory.create_base_image(template=document)
    shop.factory.create_target_image(target="fake", template=document)
    recorded = len(shop.factory.images())
    assert recorded == 3
    with pytest.raises(RequestError):
        shop.factory.create_base_image(template=document, parameters={"strict": True})
    assert len(shop.factory.images()) == recorded


def test_strict_names_the_fault(shop: Shop) -> None:
    with pytest.raises(TemplateError) as refused:
        shop.factory.create_base_image(template=BROKEN, parameters={"strict": "yes"})
    assert refused.value.faults


def test_a_target_that_no_plugin_serves_is_recorded_unless_strict(shop: Shop) -> None:
    given: dict[str, Any] = {"target": "nosuch", "template": a_template()}
    shop.factory.create_target_image(**given)
    shop.factory.create_provider_image(provider="any", credentials=RIGHT, **given)
    with pytest.raises(RequestError, match=r"No plugin \.info file loaded for target: nosuch"):
        shop.factory.create_target_image(**given, parameters={"strict": True})


def test_a_child_of_an_unfinished_image_waits_and_that_of_a_finished_one_begins(shop: Shop) -> None:
    base = shop.factory.create_base_image(template=a_template())
    waiting = shop.factory.create_target_image(target="fake", base_image_id=base.id)
    assert shop.factory.image(TargetImage, waiting.id).status is Status.PENDING
    assert list(shop.inbox.jobs) == [(Job.BUILD, base.id)]
    shop.work()
    begun = shop.factory.create_target_image(target="fake", base_image_id=base.id)
    assert shop.factory.image(TargetImage, begun.id).status is Status.NEW
    assert list(shop.inbox.jobs) == [(Job.BUILD, begun.id)]


def test_a_parent_that_settles_while_its_child_is_recorded_does_not_lose_it(shop: Shop) -> None:
    base = shop.factory.create_base_image(template=a_template())

    class Hasty(type(shop.workshop.store)):  # type: ignore[misc]
        """A store whose answer is old before it arrives."""

        def add(self, *new: Image, **claim: Any) -> None:
            shop.work()
            super().add(*new, **claim)

    store = shop.workshop.store
    hasty = Hasty(engine=store.engine, polled=store.polled)
    factory = replace(shop.factory, workshop=replace(shop.workshop, store=hasty))
    target = factory.create_target_image(target="fake", base_image_id=base.id)
    shop.work()
    assert shop.factory.image(TargetImage, target.id).status is Status.COMPLETE


def test_images_are_found_by_kind_and_parent(shop: Shop) -> None:
    first = shop.factory.create_target_image(target="fake", template=a_template())
    shop.factory.create_target_image(target="fake", template=a_template())
    assert len(shop.factory.images()) == 4
    assert len(shop.factory.images(BaseImage)) == 2
    found = shop.factory.images(TargetImage, parent_id=first.base_image_id)
    assert [image.id for image in found] == [first.id]
    assert [image.id for image in shop.factory.query({"type": "TargetImage", "target": "fake"})]


def test_only_a_failed_image_is_retried(shop: Shop) -> None:
    image = shop.factory.create_base_image(template=a_template())
    with pytest.raises(Conflict) as refused:
        shop.factory.retry(image.id)
    assert str(refused.value) == f'The Base Image "{image.id}" is NEW, not FAILED'
    with pytest.raises(NotFound):
        shop.factory.retry(UNKNOWN)


def test_plugins_by_id(shop: Shop) -> None:
    assert [info["id"] for info in shop.factory.plugins()] == ["FakeOS", "FakeCloud"]
    assert shop.factory.plugin("FakeCloud")["type"] == "cloud"
    with pytest.raises(NotFound) as missing:
        shop.factory.plugin("NoCloud")
    assert str(missing.value) == "No plugin found with id: NoCloud"


def test_a_log_of_no_image_is_no_path(shop: Shop) -> None:
    for image_id in (UNKNOWN, "../../etc/passwd"):
        with pytest.raises(NotFound):
            shop.factory.log_file(image_id)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("boot_tset", 'Did you mean "boot_test"?'),
        ("step9", 'Did you mean "step2" or "step1" or "step0"?'),
        ("xyzzy", 'Leave it out, or leave out "strict"'),
    ],
)
def test_an_unknown_parameter_is_refused_where_all_is_to_be_understood(
    shop: Shop, name: str, hint: str
) -> None:
    usual = {name: "1", "step1": "work", "ec2_ami_type": "ebs", "labels": {}}
    shop.factory.create_target_image(target="fake", template=a_template(), parameters=usual)
    known = len(shop.factory.images())
    with pytest.raises(RequestError, match=f'The parameter "{name}" is unknown') as refused:
        shop.factory.create_target_image(
            target="fake", template=a_template(), parameters={**usual, "strict": True}
        )
    assert refused.value.hint == hint
    assert len(shop.factory.images()) == known
    del usual[name]
    shop.factory.create_base_image(template=a_template(), parameters={**usual, "strict": "yes"})


@pytest.mark.parametrize("labels", ["red", ["red"], {"team": None}, {"team": {"a": "b"}}, 5])
def test_labels_are_texts(shop: Shop, labels: object) -> None:
    with pytest.raises(RequestError, match='The parameter "labels" is not an object of texts'):
        shop.factory.create_base_image(template=a_template(), parameters={"labels": labels})
