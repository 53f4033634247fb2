"""Looking at images, ending builds, and removing what is there."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from fakes.program import Run
from imagefactory.builds.factory import open_factory
from imagefactory.core.config import Config
from imagefactory.core.images import BaseImage, Status
from imagefactory.engine.formats.kinds import KINDS


@pytest.fixture
def built(run: Run, mock_template: Path) -> dict[str, Any]:
    """A base image."""
    found: dict[str, Any] = json.loads(run("--output", "json", "base_image", mock_template).out)
    return found


def recorded(state: Path, status: Status) -> str:
    """An image that is in this status and that nobody builds."""
    with open_factory(Config(state=state)) as factory:
        image = BaseImage(id="11111111-2222-4333-8444-555555555555", template="x", status=status)
        factory.workshop.store.add(image)
    return image.id


def test_images_are_found_by_what_they_are(run: Run, built: dict[str, Any]) -> None:
    by_id = run("images", json.dumps({"identifier": built["identifier"]}), "--output", "json")
    assert json.loads(by_id.out) == built
    assert json.loads(run("--output", "json", "images", '{"status": "FAILED"}').out) == {}
    listed = run("images").out.split()
    assert listed == [built["identifier"], "BaseImage", "COMPLETE", "100", "%", "mock"]


@pytest.mark.parametrize("spec", ["{", "[]", '"x"'])
def test_a_fetch_spec_is_an_object(run: Run, spec: str) -> None:
    outcome = run("images", spec)
    assert outcome.status == 1
    assert outcome.err.startswith(f'imagefactory: The fetch spec "{spec}" is not ')


def test_what_is_gone_can_be_deleted(run: Run, built: dict[str, Any]) -> None:
    outcome = run("delete", built["identifier"])
    assert (outcome.status, outcome.out) == (0, f"Deleting image with id {built['identifier']}\n")
    assert not Path(built["data"]).exists()
    outcome = run("delete", built["identifier"])
    assert (outcome.status, outcome.out) == (0, f"No image found with id: {built['identifier']}\n")


def test_an_image_that_nobody_builds_can_be_cancelled(run: Run, state: Path) -> None:
    image_id = recorded(state, Status.NEW)
    outcome = run("cancel", image_id)
    assert outcome.status == 0
    assert "is FAILED: The build was cancelled" in outcome.out
    again = run("cancel", image_id)
    assert again.status == 1
    assert "nothing to cancel" in again.err


def test_only_a_failed_image_is_retried(run: Run, built: dict[str, Any]) -> None:
    outcome = run("retry", built["identifier"])
    assert outcome.status == 1
    assert outcome.err.endswith("is COMPLETE, not FAILED\n  Only a failed image can be retried\n")


def test_log_events_and_artifacts(run: Run, built: dict[str, Any], tmp_path: Path) -> None:
    image_id = built["identifier"]
    log = run("log", image_id, "--follow")
    assert "== Sealing the image" in log.out
    lines = [json.loads(line) for line in run("log", image_id, "--output", "json").out.splitlines()]
    assert [line["text"] for line in lines] == [
        line.partition(" ")[2] for line in log.out.splitlines()
    ]
    events = [json.loads(e) for e in run("events", image_id, "--output", "json").out.splitlines()]
    assert (events[0]["status"], events[-1]["status"]) == ("NEW", "COMPLETE")
    assert run("events", image_id, "--follow").out.count(image_id) == len(events)

    assert run("artifacts", image_id).out.split()[1::2] == ["log", "provenance.json"]
    assert run("artifacts", image_id, "log").status == 0
    copy = tmp_path / "copy"
    assert run("artifacts", image_id, "log", "-o", copy).status == 0
    assert copy.read_text() == log.out
    missing = run("artifacts", image_id, "nosuch")
    assert missing.err == (
        'imagefactory: No artifact found with name: nosuch\n  There are "log", "provenance.json"\n'
    )


@pytest.mark.parametrize("command", ["log", "events", "artifacts", "cancel", "retry"])
def test_an_image_that_is_not_there_is_named(run: Run, command: str) -> None:
    outcome = run(command, "nosuch")
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err == "imagefactory: No image found with id: nosuch\n"


def test_plugins_and_formats_are_listed(run: Run) -> None:
    found = json.loads(run("plugins", "--output", "json").out)["plugins"]
    assert {"MockOS", "MockCloud", "Debian"} <= {info["id"] for info in found}
    one = json.loads(run("plugins", "--id", "MockOS", "--output", "json").out)
    assert one in found
    assert "MockOS" in run("plugins").out
    formats = json.loads(run("formats", "--output", "json").out)["formats"]
    assert {entry["name"] for entry in formats} == set(KINDS)


def test_gc_deletes_what_nothing_needs_and_nothing_else(
    run: Run, state: Path, built: dict[str, Any]
) -> None:
    orphan = state / "artifacts" / "22222222-2222-4333-8444-555555555555"
    left, old, new = state / "scratch" / "left", *(state / "cache/objects/ab" / n for n in "on")
    for folder in (orphan, left, old.parent):
        folder.mkdir(parents=True)
    for file in (orphan / "log", left / "disk", old, new):
        file.write_text("x" * 5000)
    os.utime(old, (time.time() - 50 * 86400,) * 2)
    found = json.loads(run("gc", "--output", "json").out)["garbage"]
    assert [one["path"] for one in found] == sorted(map(str, (orphan, left, old)))
    assert all(one["size"] for one in found)
    assert orphan.exists()
    assert run("gc", "--yes").status == 0
    assert not any(path.exists() for path in (orphan, left, old))
    assert new.exists()
    assert Path(built["data"]).exists()
    assert (state / "artifacts" / built["identifier"]).exists()


def test_gc_leaves_a_factory_at_work_alone(run: Run, state: Path) -> None:
    recorded(state, Status.BUILDING)
    outcome = run("gc", "--yes")
    assert outcome.status == 1
    assert "Images are being built" in outcome.err
