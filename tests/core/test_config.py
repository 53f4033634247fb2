"""The configuration refuses what it does not know, and says where it stands."""

from pathlib import Path
from typing import Any

import pytest

from imagefactory.builds import settings
from imagefactory.core.config import Config
from imagefactory.core.errors import ConfigError


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("prot", 1, 'The configuration has an unknown key "prot"'),
        ("port", "many", 'The configuration has "many" for "port", which is not a whole number'),
        ("port", True, 'The configuration has "True" for "port", which is not a whole number'),
        ("debug", "maybe", 'The configuration has "maybe" for "debug", which is not true or false'),
        ("mirrors", "x", 'The configuration has "x" for "mirrors", which is not an object of texts'),
        ("mirrors", {"a": 1}, 'The configuration has "{\'a\': 1}" for "mirrors", which is not an object of texts'),
        ("trusted_proxies", "x", 'The configuration has "x" for "trusted_proxies", which is not a list of texts'),
        ("clients", {"a": ["hush"]}, 'The configuration has "REDACTED" for "clients", which is not an object of texts'),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_named(key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.parse({key: value})
    assert str(caught.value) == message


def test_dashes_are_the_same_as_underscores() -> None:
    assert Config.parse({"boot-timeout": 5}).boot_timeout == 5


def test_lists_and_secrets_are_read_and_kept_from_view() -> None:
    config = Config.parse({"clients": {"a": "hush"}, "jeos_config": ["/etc/jeos"]})
    assert config.clients["a"].reveal() == "hush"
    assert "hush" not in repr(config)
    assert config.jeos_config == ("/etc/jeos",)


def test_file_is_overruled_by_environment_and_that_by_flags(tmp_path: Path) -> None:
    file = tmp_path / "imagefactory.conf"
    file.write_text('{"port": 1, "timeout": 1, "boot_timeout": 1, "debug": 1}')
    environment = {"IMAGEFACTORY_PORT": "2", "IMAGEFACTORY_TIMEOUT": "2", "HOME": "/h"}
    config = settings.load(file=file, flags={"port": 3, "debug": None}, environment=environment)
    assert (config.port, config.timeout, config.boot_timeout, config.debug) == (3, 2, 1, True)


def test_toml_and_tables_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "factory.toml"
    file.write_text('[mirrors]\n"http://a" = "http://b"\n')
    assert settings.load(file=file, environment={}).mirrors == {"http://a": "http://b"}
    given = {"IMAGEFACTORY_MIRRORS": '{"http://c": "http://d"}'}
    assert settings.load(file=file, environment=given).mirrors == {"http://c": "http://d"}


@pytest.mark.parametrize("content", ["{", "[]", "\x00"])
def test_a_broken_file_is_refused_in_one_sentence(tmp_path: Path, content: str) -> None:
    file = tmp_path / "imagefactory.conf"
    file.write_text(content)
    with pytest.raises(ConfigError, match=str(file)):
        settings.load(file=file, environment={})


def test_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        settings.load(file=tmp_path / "missing.conf", environment={})
