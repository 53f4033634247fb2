"""How jobs end: what an image becomes, what it says, and what is left behind."""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from fakes.patience import until
from fakes.plugins import a_template, pushed_to, ran
from fakes.shop import Shop
from fakes.work import unrecorded
from imagefactory.builds.claim import claim
from imagefactory.builds.work import Interrupted, Job
from imagefactory.builds.worker import Worker
from imagefactory.core.errors import StoreError
from imagefactory.core.images import BaseImage, Image, ProviderImage, Status, TargetImage
from imagefactory.core.secret import Secret
from imagefactory.store.database import Store

T = TypeVar("T")
ImageT = TypeVar("ImageT", bound=Image)

RIGHT = Secret("right")


def built(shop: Shop, **parameters: Any) -> BaseImage:
    """A base image whose build has ended."""
    image = shop.factory.create_base_image(template=a_template(), parameters=parameters)
    shop.work()
    return shop.factory.image(BaseImage, image.id)


def pushed(shop: Shop, *, password: str = "right", **given: Any) -> ProviderImage:
    """A provider image whose push has ended."""
    image = shop.factory.create_provider_image(
        **({"provider": "account", "target": "fake", "template": a_template()} | given),
        credentials=Secret(password),
    )
    shop.work()
    return shop.factory.image(ProviderImage, image.id)


@contextmanager
def at_work(shop: Shop) -> Iterator[None]:
    """A worker beside the test, with a thread for the jobs and one that looks after them."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.01):
            shop.work()

    threads = [
        threading.Thread(target=work),
        threading.Thread(target=shop.worker.tend, args=(stop,)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_base_image_becomes_complete(shop: Shop) -> None:
    image = built(shop)
    assert (image.status, image.activity) == (Status.COMPLETE, "Base Image build complete")
    assert (image.percent, image.error) == (100, None)
    assert image.properties == {"last_step": 2}
    assert shop.factory.body(image.id).read_text() == f"disk of {image.id}, after step 2"
    body = shop.workshop.store.body(image.id)
    assert body is not None
    assert body.size == shop.factory.body(image.id).stat().st_size
    assert not list((shop.state / "scratch").iterdir())


def test_progress_is_told_in_events_and_in_the_log(shop: Shop) -> None:
    image = built(shop)
    events = shop.factory.events(image_id=image.id)
    assert [event.activity for event in events if event.activity.startswith("Acting")] == [
        f"Acting in step {number}" for number in range(3)
    ]
    percents = [event.percent for event in events]
    assert percents == sorted(percents)
    log = shop.factory.log_file(image.id).read_text()
    assert "Z == Acting in step 1\n" in log


def test_a_cascade_is_built_in_order(shop: Shop) -> None:
    image = pushed(shop)
    assert (image.status, image.activity) == (Status.COMPLETE, "Provider Image build complete")
    assert image.identifier_on_provider == "ami-0"
    assert image.provider_account_identifier == "account"
    target = shop.factory.image(TargetImage, str(image.target_image_id))
    assert (target.status, target.activity) == (Status.COMPLETE, "Target Image build complete")
    base_body = f"disk of {target.base_image_id}, after step 2"
    assert shop.factory.body(target.id).read_text() == f"{base_body}, converted"
    assert shop.factory.body(str(target.base_image_id)).read_text() == base_body


def test_a_cloud_that_wants_something_in_the_guest_gets_it_first(shop: Shop) -> None:
    document = a_template(name="customized")
    image = shop.factory.create_target_image(target="customizing", template=document)
    shop.work()
    base_body = shop.factory.body(str(image.base_image_id)).read_text()
    assert shop.factory.body(image.id).read_text() == f"{base_body}, tuned, converted"


def test_a_target_inherits_the_icicle(shop: Shop) -> None:
    image = shop.factory.create_target_image(target="fake", template=a_template())
    folder = shop.state / "artifacts" / str(image.base_image_id)
    folder.mkdir(parents=True)
    (folder / "icicle.xml").write_text("<icicle/>")
    shop.work()
    assert shop.factory.image(TargetImage, image.id).icicle == "<icicle/>"


def test_a_failure_is_one_sentence_and_what_to_do_about_it(shop: Shop) -> None:
    image = built(shop, step1="fail")
    assert image.status is Status.FAILED
    assert image.activity == "Base Image build failed with exception."
    assert image.error == 'The package "nosuch" is unknown. Did you mean "such"?'
    assert 'Did you mean "such"?' in shop.factory.log_file(image.id).read_text()
    assert not shop.factory.body(image.id).exists()


def test_a_full_disk_is_told_as_such(shop: Shop) -> None:
    image = built(shop, step0="full")
    assert image.error == (
        f'The host has no room left for the image "{image.id}".'
        " Delete images, or make the file system larger"
    )


def test_a_bug_is_told_to_nobody_but_the_log(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    image = built(shop, step0="bug")
    assert image.error == f'Internal error, see the log of "{image.id}"'
    log = shop.factory.log_file(image.id).read_text()
    assert "KeyError" in log
    assert "hunter2" not in log
    assert "KeyError" in caplog.text


def test_a_store_that_is_full_until_the_scratch_folder_is_gone(shop: Shop) -> None:
    class Full(Store):
        """A store on a disk that the scratch folder of the build has filled."""

        def change(self, id: str, edit: Callable[[Image], ImageT]) -> ImageT:
            if (shop.state / "scratch" / id / "notes.json").exists():
                msg = "The database is full"
                raise StoreError(msg)
            return super().change(id, edit)

    image = shop.factory.create_base_image(template=a_template(), parameters={"step2": "fail"})
    store = shop.workshop.store
    workshop = replace(shop.workshop, store=Full(engine=store.engine, polled=store.polled))
    Worker(workshop).perform(Job.BUILD, image.id, unrecorded)
    failed = shop.factory.image(BaseImage, image.id)
    assert failed.error == 'The package "nosuch" is unknown. Did you mean "such"?'


def test_a_build_that_another_program_has_begun_is_not_gone_on_with(shop: Shop) -> None:
    image = shop.factory.create_base_image(template=a_template())

    def record(name: str, action: Callable[[], T]) -> T:
        planned: Any = ["Unpack", "Configure"]
        return planned if name == "plan" else action()

    shop.worker.perform(Job.BUILD, image.id, record)
    error = (
        f'The build of "{image.id}" was begun by another version of the program. Retry the image'
    )
    assert shop.factory.image(BaseImage, image.id).error == error
    assert not ran(shop.state)


def test_an_image_without_credentials_fails(shop: Shop) -> None:
    image = shop.factory.create_provider_image(
        provider="account", credentials=RIGHT, target="fake", template=a_template()
    )
    assert image.credentials_ref is not None
    shop.workshop.vault.remove(image.credentials_ref)
    shop.work()
    error = str(shop.factory.image(ProviderImage, image.id).error)
    assert error.endswith("are not kept any more")


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ("http://example.org/x.tdl", "Template is not a TDL document"),
        (a_template(system="NoOS"), 'No plugin builds the system "NoOS 1 x86_64"'),
        (a_template(version="13"), 'The version "13" brings bad luck'),
    ],
)
def test_a_template_that_nobody_can_build_fails(shop: Shop, document: str, error: str) -> None:
    image = shop.factory.create_base_image(template=document)
    shop.work()
    failed = shop.factory.image(BaseImage, image.id)
    assert (failed.status, failed.error) == (Status.FAILED, error)


def test_a_target_that_no_plugin_serves_fails(shop: Shop) -> None:
    image = shop.factory.create_target_image(target="nosuch", template=a_template())
    shop.work()
    failed = shop.factory.image(TargetImage, image.id)
    assert failed.error == "No plugin .info file loaded for target: nosuch"
    assert shop.factory.image(BaseImage, str(image.base_image_id)).status is Status.COMPLETE


def test_children_of_a_failed_image_fail(shop: Shop) -> None:
    image = pushed(shop, parameters={"step2": "fail"})
    target = shop.factory.image(TargetImage, str(image.target_image_id))
    assert target.status is image.status is Status.FAILED
    assert target.activity == "Target Image build failed with exception"
    assert target.error == (
        f"The BaseImage ({target.base_image_id}) for our TargetImage has failed its build."
        "  Cannot continue."
    )
    assert image.activity == "Provider Image build failed with exception"
    assert image.error == (
        f"The TargetImage ({target.id}) for our ProviderImage has failed its build."
        "  Cannot continue."
    )
    late = shop.factory.create_target_image(target="fake", base_image_id=target.base_image_id)
    shop.work()
    assert shop.factory.image(TargetImage, late.id).error == target.error


def test_a_refused_push_fails_only_its_own_image(shop: Shop) -> None:
    first = pushed(shop, password="wrong")
    assert first.error == 'The provider "account" refuses the password'
    second = pushed(shop, template=None, target_image_id=first.target_image_id)
    assert second.status is Status.COMPLETE


def test_an_image_whose_parent_is_gone_fails(shop: Shop) -> None:
    base = built(shop)
    image = shop.factory.create_target_image(target="fake", base_image_id=base.id)
    shop.factory.body(base.id).unlink()
    shop.work()
    failed = shop.factory.image(TargetImage, image.id)
    assert failed.error == f'The image that the Target Image "{image.id}" is made from is gone'


def test_a_retried_image_goes_on_where_it_failed(shop: Shop) -> None:
    image = built(shop, step2="fail once")
    assert image.error == "The first attempt always fails"
    assert shop.factory.retry(image.id).status is Status.PENDING
    shop.work()
    retried = shop.factory.image(BaseImage, image.id)
    assert (retried.status, retried.error, retried.percent) == (Status.COMPLETE, None, 100)
    times = Counter(line.split()[1] for line in ran(shop.state) if line.endswith("began"))
    assert times == {"0": 1, "1": 1, "2": 2}, "what was finished is not done again"
    assert (
        "00-Act was finished by an earlier attempt" in shop.factory.log_file(image.id).read_text()
    )
    assert not list((shop.state / "scratch").iterdir())


def test_a_retry_begins_anew_when_other_steps_are_planned_now(shop: Shop) -> None:
    image = built(shop, step2="fail once")
    shop.workshop.store.change(
        image.id, lambda image: replace(image, parameters={"step0": "fail once"})
    )
    shop.factory.retry(image.id)
    shop.work()
    assert shop.factory.image(BaseImage, image.id).status is Status.FAILED
    assert [line.split()[1] for line in ran(shop.state) if line.endswith("began")] == list("0120")


@pytest.mark.parametrize("mood", ["full", "unfetched"])
def test_what_may_be_out_of_date_or_takes_the_room_is_not_kept(shop: Shop, mood: str) -> None:
    image = built(shop, step1=mood)
    assert image.status is Status.FAILED
    assert not list((shop.state / "scratch").iterdir())


def test_what_failed_builds_have_left_is_kept_for_a_while(shop: Shop) -> None:
    images = [built(shop, step1="fail") for _ in range(5)]
    scratch = shop.state / "scratch"
    kept = [scratch / image.id for image in images]
    assert [path.exists() for path in kept] == [True] * 5
    os.utime(kept[1] / "finished.json", (0, 1))
    with at_work(shop):
        until(lambda: len(list(scratch.iterdir())) == 3)
    assert [path.exists() for path in kept] == [False, False, True, True, True]
    shop.factory.delete(images[3].id)
    shop.work()
    assert not kept[3].exists()


def test_a_cancelled_build_is_over_in_two_seconds(shop: Shop) -> None:
    with at_work(shop):
        provider = shop.factory.create_provider_image(
            provider="account",
            credentials=RIGHT,
            target="fake",
            template=a_template(),
            parameters={"step1": "wait"},
        )
        target = shop.factory.image(TargetImage, str(provider.target_image_id))
        base_id = str(target.base_image_id)
        pid_file = shop.state / f"pid-{base_id}"
        until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
        pid = int(pid_file.read_text())
        assert _runs(pid)
        shop.factory.cancel(base_id)
        assert until(lambda: shop.factory.image(BaseImage, base_id).settled) < 2
        base = shop.factory.image(BaseImage, base_id)
        assert (base.status, base.error) == (Status.FAILED, "The build was cancelled")
        assert not _runs(pid)
        until(lambda: shop.factory.image(ProviderImage, provider.id).status is Status.FAILED)
    assert not list((shop.state / "scratch").iterdir())


def test_a_push_is_cancelled_when_it_reports(shop: Shop) -> None:
    target = pushed(shop).target_image_id
    with at_work(shop):
        image = shop.factory.create_provider_image(
            provider="slow", credentials=RIGHT, target="fake", target_image_id=target
        )
        until(lambda: shop.factory.image(ProviderImage, image.id).percent > 0)
        shop.factory.cancel(image.id)
        assert until(lambda: shop.factory.image(ProviderImage, image.id).settled) < 2
    assert not pushed_to(shop.state / "slow")


@pytest.mark.parametrize("job", [Job.BUILD, Job.CANCEL])
def test_an_image_that_nobody_has_begun_is_cancelled_at_once(shop: Shop, job: Job) -> None:
    image = shop.factory.create_target_image(target="fake", template=a_template())
    shop.factory.cancel(str(image.base_image_id))
    shop.inbox.jobs = type(shop.inbox.jobs)([(job, str(image.base_image_id))])
    shop.work()
    base = shop.factory.image(BaseImage, str(image.base_image_id))
    assert base.error == "The build was cancelled"
    assert shop.factory.image(TargetImage, image.id).status is Status.FAILED
    assert not ran(shop.state)


def test_a_worker_that_stops_settles_nothing_and_a_later_one_goes_on(shop: Shop) -> None:
    image = shop.factory.create_base_image(template=a_template(), parameters={"step0": "wait"})
    outcome: list[BaseException] = []

    def work() -> None:
        try:
            shop.worker.perform(Job.BUILD, image.id, unrecorded)
        except Interrupted as interrupted:
            outcome.append(interrupted)

    thread = threading.Thread(target=work)
    thread.start()
    until((shop.state / f"pid-{image.id}").exists)
    shop.worker.interrupt()
    thread.join(5)
    assert outcome
    assert shop.worker.wait(0)
    assert shop.factory.image(BaseImage, image.id).status is Status.BUILDING
    assert (shop.state / "scratch" / image.id / "lives").read_text() == "0"


def test_a_job_for_an_image_that_another_process_works_on_does_nothing(shop: Shop) -> None:
    image = shop.factory.create_base_image(template=a_template())
    with claim(shop.state / "artifacts" / image.id) as mine:
        assert mine
        shop.work()
        assert shop.factory.image(BaseImage, image.id).status is Status.NEW


def test_a_job_may_come_twice(shop: Shop) -> None:
    image = shop.factory.create_base_image(template=a_template())
    shop.inbox.submit(Job.BUILD, image.id)
    shop.work()
    assert len([line for line in ran(shop.state) if line.endswith("ended")]) == 3
    assert not list((shop.state / "scratch").iterdir())


def test_what_a_crash_has_left_without_a_job_is_handed_in_again(shop: Shop) -> None:
    image = pushed(shop)
    base = shop.factory.create_base_image(template=a_template())
    target = shop.factory.create_target_image(target="fake", base_image_id=base.id)
    shop.factory.delete(image.id)
    shop.inbox.jobs.clear()
    with at_work(shop):
        until(lambda: shop.factory.find(target.id).status is Status.COMPLETE)  # type: ignore[union-attr]
        until(lambda: shop.factory.find(image.id) is None)


def files_of(shop: Shop, image_id: str) -> list[Path]:
    """All files and folders that bear an image's id."""
    return [path for path in shop.state.rglob(f"{image_id}*") if not path.name.startswith("pid-")]


def test_a_deleted_image_leaves_nothing_and_its_children_stay(shop: Shop) -> None:
    image = pushed(shop)
    target_id = str(image.target_image_id)
    assert files_of(shop, target_id)
    shop.factory.delete(target_id)
    assert shop.factory.image(TargetImage, target_id).status is Status.DELETING
    shop.work()
    assert shop.factory.find(target_id) is None
    assert not files_of(shop, target_id)
    assert shop.factory.image(ProviderImage, image.id).target_image_id is None


def test_a_provider_image_is_deleted_with_the_kept_credentials(shop: Shop) -> None:
    image = pushed(shop)
    assert pushed_to(shop.state / "account") == {"ami-0": image.id}
    shop.factory.delete(image.id)
    shop.work()
    assert pushed_to(shop.state / "account") == {}
    assert shop.factory.find(image.id) is None


def test_a_provider_that_refuses_keeps_the_record(shop: Shop) -> None:
    image = pushed(shop)
    shop.factory.delete(image.id, credentials=Secret("wrong"))
    shop.work()
    kept = shop.factory.image(ProviderImage, image.id)
    assert kept.status is Status.DELETEFAILED
    assert kept.activity == "Failed to delete image."
    assert kept.error == 'The provider "account" refuses the password'
    shop.factory.delete(image.id, credentials=RIGHT)
    shop.work()
    assert shop.factory.find(image.id) is None


def test_forgetting_leaves_the_provider_alone(shop: Shop) -> None:
    image = pushed(shop)
    shop.factory.delete(image.id, forget=True)
    shop.work()
    assert shop.factory.find(image.id) is None
    assert pushed_to(shop.state / "account") == {"ami-0": image.id}


def test_an_image_of_an_unknown_target_can_be_deleted(shop: Shop) -> None:
    image = pushed(shop, target="nosuch")
    assert image.status is Status.FAILED
    shop.factory.delete(image.id)
    shop.work()
    assert shop.factory.find(image.id) is None


def test_deleting_what_is_being_built_cancels_it_first(shop: Shop) -> None:
    with at_work(shop):
        target = shop.factory.create_target_image(
            target="fake", template=a_template(), parameters={"step0": "wait"}
        )
        base_id = str(target.base_image_id)
        pid_file = shop.state / f"pid-{base_id}"
        until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
        shop.factory.delete(base_id)
        assert until(lambda: shop.factory.find(base_id) is None) < 3
        assert not _runs(int(pid_file.read_text()))
        until(lambda: shop.factory.find(target.id).settled)  # type: ignore[union-attr]
    assert shop.factory.image(TargetImage, target.id).status is Status.FAILED
    assert not files_of(shop, base_id)


def _runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]
    except FileNotFoundError:
        return False
