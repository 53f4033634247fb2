"""The operator's file of what is added to target images."""

from pathlib import Path

import pytest

from contract import made_with
from imagefactory.builds.inclusions import inclusions
from imagefactory.core.errors import ConfigError
from imagefactory.core.target_content import TargetContent


def test_a_file_is_read_where_the_configuration_says(tmp_path: Path) -> None:
    file = tmp_path / "content.xml"
    file.write_text("<template_includes><include/></template_includes>")
    assert len(inclusions(made_with(tmp_path, target_content=str(file))).includes) == 1


def test_the_usual_file_need_not_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = tmp_path / "usual.xml"
    monkeypatch.setattr("imagefactory.builds.inclusions.TARGET_CONTENT", usual)
    assert inclusions(made_with(tmp_path, target_content=str(usual))) == TargetContent()


def test_a_file_that_was_named_is_to_be_there(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.xml", tmp_path):
        with pytest.raises(ConfigError, match=f'The file "{path}" of the key "target_content"'):
            inclusions(made_with(tmp_path, target_content=str(path)))
