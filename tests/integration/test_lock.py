"""Resolving a real template from the command line, and refusing to build other packages."""

import json
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
