"""Without configured clients the first start makes one up, and tells nobody but its owner."""

import json
import logging
from pathlib import Path

import pytest

from imagefactory.core.config import Config
from imagefactory.core.errors import ConfigError
from imagefactory.core.secret import Secret
from imagefactory.web import clients


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(state=tmp_path)


def test_one_is_made_up_once(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        ((key, secret),) = clients.load(config).items()
    path = clients.path_of(config)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(secret.reveal()) >= 40
    assert str(path) in caplog.text
    assert secret.reveal() not in caplog.text
    assert clients.load(config) == {key: secret}


def test_two_factories_have_different_ones(tmp_path: Path) -> None:
    first = clients.load(Config(state=tmp_path / "a"))
    assert not first.keys() & clients.load(Config(state=tmp_path / "b")).keys()


def test_configured_ones_are_all_there_are(config: Config) -> None:
    clients.load(config)
    configured = {"client1": Secret("our-secret")}
    assert clients.load(Config(state=config.state, clients=configured)) == configured


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"clients": {}}', '{"clients": {"a": 1}}', '{"a": {}}', "\ufeff"]
)
def test_a_damaged_file_is_refused(config: Config, content: str) -> None:
    path = clients.path_of(config)
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"clients\.json"):
        clients.load(config)


def test_a_file_that_others_may_read_is_refused(config: Config) -> None:
    path = clients.path_of(config)
    path.write_text(json.dumps({"clients": {"a": "hush"}}))
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="may be read by others"):
        clients.load(config)
