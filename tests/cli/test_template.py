"""Checking templates, and resolving them."""

import json
from pathlib import Path

from fakes.program import Run


def test_faults_are_named_by_file_and_line(run: Run, tmp_path: Path, mock_template: Path) -> None:
    wrong = tmp_path / "wrong.tdl"
    wrong.write_text("<template>\n<name>x</name>\n<os>\n<nmae/></os></template>")
    assert run("template", "check", mock_template).status == 0
    outcome = run("template", "check", mock_template, wrong, tmp_path / "none")
    assert outcome.status == 2
    lines = outcome.out.splitlines()
    assert f"{wrong}:4: " in outcome.out
    assert lines[-1] == f"{tmp_path}/none:0: The file cannot be read: No such file or directory"
    shown = json.loads(run("template", "check", wrong, "--output", "json").out)
    assert {fault["line"] for fault in shown["faults"]} >= {4}
    assert run("template", "check", "--output", "json", mock_template).out == (
        '{\n  "faults": []\n}\n'
    )


def test_a_system_without_packages_has_no_lock(run: Run, mock_template: Path) -> None:
    outcome = run("template", "lock", mock_template)
    assert outcome.status == 1
    assert '"MockOS_A" is not made of packages' in outcome.err
