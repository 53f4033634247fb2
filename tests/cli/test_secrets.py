"""No secret that a command is given is in what it says, in what it keeps, or in what others see of it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from fakes import traces

pytestmark = pytest.mark.integration

SECRETS: Final = {
    name: f"marker-of-{name}-5e1d0b77" for name in ("rootpw", "credentials", "provider", "token")
}


@pytest.mark.parametrize("output", ["log", "json"])
def test_a_push_tells_nobody_its_secrets(tmp_path: Path, mock_template: Path, output: str) -> None:
    state = tmp_path / "state"
    given = tmp_path / "given"
    given.mkdir()
    config = tmp_path / "imagefactory.conf"
    config.write_text("{}")
    template = mock_template.read_text().replace("open sesame", SECRETS["rootpw"])
    for name, text in (
        ("template", template),
        ("credentials", f"<provider_credentials><p>{SECRETS['credentials']}</p></provider_credentials>"),
        ("provider", json.dumps({"name": "account", "password": SECRETS["provider"]})),
        ("parameters", json.dumps({"api_token": SECRETS["token"]})),
    ):  # fmt: skip
        (given / name).write_text(text)
    words = ["provider_image", "mock", "provider", "credentials", "--template", "template"]
    words += ["--parameters", "parameters", "--output", output, "--verbose", "--debug"]
    with traces.in_processes(SECRETS) as in_processes:
        told = subprocess.run(
            [sys.executable, "-m", "imagefactory.cli.main", *words],
            cwd=given,
            env={
                **os.environ,
                "IMAGEFACTORY_STATE": str(state),
                "IMAGEFACTORY_TMPDIR": str(tmp_path),
                "IMAGEFACTORY_CONFIG": str(config),
            },
            capture_output=True,
            check=False,
        )
    assert told.returncode == 0, told.stderr.decode()
    out = told.stdout
    if output == "json":
        shown = json.loads(out)
        assert shown.pop("template") == template  # as the original's, whose programs read it
        out = json.dumps(shown).encode()
    assert traces.in_bytes(out, SECRETS) == traces.in_bytes(told.stderr, SECRETS) == []
    assert traces.in_files(state, SECRETS) == []
    assert in_processes == set()
    assert len(traces.in_files(given, SECRETS)) == len(SECRETS), "what was looked for can be found"
