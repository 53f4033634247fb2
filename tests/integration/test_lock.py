"""Resolving a real template from the command line, and refusing to build other packages."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from imagefactory.cli.main import main
from imagefactory.core.config import Config
from imagefactory.core.lock import Lock


def test_a_template_is_locked_without_a_build(
    config: Config, template: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tdl, lock, settings = (tmp_path / name for name in ("a.tdl", "a.lock", "imagefactory.conf"))
    filling = {"VERSION": "12", "SIZE": "3 GiB", "PACKAGE": "tree", "COMMAND": "true"}
    for name, value in filling.items():
        template = template.replace(f"@{name}@", value)
    tdl.write_text(template)
    content = {"state": str(config.state), "mirrors": dict(config.mirrors)}
    settings.write_text(json.dumps(content))
    common = ["--config", str(settings), "--output", "json"]
    assert main([*common, "template", "lock", str(tdl), "-o", str(lock)]) == 0
    told = json.loads(capsys.readouterr().out)
    found = Lock.loads(lock.read_text())
    assert told["packages"] == len(found.packages) > 100
    assert {"tree", "systemd"} <= {package.name for package in found.packages}
    assert all(package.url.startswith("http://mirror.example.org/") for package in found.packages)
    assert not any(config.scratch.iterdir())

    lock.write_text("{}")
    assert main([*common, "base_image", str(tdl), "--lock", str(lock)]) == 1
    failed = json.loads(capsys.readouterr().out)
    assert failed["status"] == "FAILED"
    assert "imagefactory-lock/1" in failed["status_detail"]["error"]


@pytest.mark.slow
def test_an_image_of_a_lock_has_just_the_packages_of_the_lock(
    config: Config, template: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tdl, lock, settings = (tmp_path / name for name in ("a.tdl", "a.lock", "imagefactory.conf"))
    filling = {"VERSION": "12", "SIZE": "3 GiB", "PACKAGE": "tree", "COMMAND": "true"}
    for name, value in filling.items():
        template = template.replace(f"@{name}@", value)
    tdl.write_text(template)
    settings.write_text(json.dumps({"state": str(config.state), "mirrors": dict(config.mirrors)}))
    common = ["--config", str(settings), "--output", "json"]
    build = [*common, "base_image", str(tdl), "--parameter", "boot_test", "false"]
    assert main([*common, "template", "lock", str(tdl), "-o", str(lock)]) == 0
    capsys.readouterr()

    digests = []
    for _time in range(2):
        assert main([*build, "--lock", str(lock), "--parameter", "reuse", "false"]) == 0
        made = json.loads(capsys.readouterr().out)
        artifacts = config.artifacts / made["identifier"]
        assert Lock.loads((artifacts / "lock.json").read_text()) == Lock.loads(lock.read_text())
        bill = json.loads((artifacts / "cyclonedx.json").read_text())
        installed = sorted((one["name"], one["version"]) for one in bill["components"])
        wanted = Lock.loads(lock.read_text()).packages
        assert [name for name, _version in installed] == sorted(one.name for one in wanted)
        with Path(made["data"]).open("rb") as body:
            digests.append(hashlib.file_digest(body, "sha256").hexdigest())
    assert digests[0] == digests[1]

    # A package that the lock lacks is not quietly fetched.
    lacking = Lock.loads(lock.read_text())
    less = tuple(one for one in lacking.packages if one.name != "tree")
    lock.write_text(replace(lacking, packages=less).dumps())
    assert main([*build, "--lock", str(lock)]) == 1
    failed = json.loads(capsys.readouterr().out)
    assert 'lacks the package "tree"' in failed["status_detail"]["error"]
