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
        ("output", "xml", 'The configuration has "xml" for "output", which is not "log" or "json"'),
        ("state", 1, 'The configuration has "1" for "state", which is not a path'),
        ("ignored", [], 'The configuration has an unknown key "ignored"'),
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


#: the file that the original brings
SHIPPED = """{
  "debug": 0, "no_ssl": 0, "no_oauth": 0,
  "imgdir": "/var/lib/imagefactory/images", "ec2-32bit-util": "m1.small",
  "ec2-64bit-util": "t2.micro", "image_manager": "file",
  "image_manager_args": { "storage_path": "/var/lib/imagefactory/storage" },
  "clients": { "mock-key": "mock-secret" }, "proxy_ami_id": "ami-id",
  "max_concurrent_local_sessions": 2, "max_concurrent_ec2_sessions": 4,
  "ec2_ami_type": "ebs", "rhevm_image_format": "qcow2", "openstack_image_format": "qcow2",
  "jeos_config": ["/etc/imagefactory/jeos_images/"], "tdl_require_root_pw": 0
}"""


def test_the_originals_file_is_read_and_what_is_dead_in_it_explained(tmp_path: Path) -> None:
    file = tmp_path / "imagefactory.conf"
    file.write_text(SHIPPED)
    config = settings.load(file=file, environment={})
    assert config.ec2_64bit_util == "t2.micro"
    assert config.max_concurrent_local_sessions == 2
    assert config.storage == Path("/var/lib/imagefactory/storage")
    dead = ("imgdir", "proxy_ami_id", "max_concurrent_ec2_sessions")
    assert [f'"{key}"' in why for key, why in zip(dead, config.ignored, strict=True)] == [True] * 3


@pytest.mark.parametrize(
    "key", ["warehouse", "warehouse_key", "rest", "rhevm.json", "secondary", "plugins", "config"]
)
def test_a_dead_key_takes_any_value(key: str) -> None:
    assert Config.parse({key: {"any": 1}}) == Config()


def test_every_key_of_the_original_is_known() -> None:
    keys = """debug verbose foreground address port no_ssl ssl_pem no_oauth secondary clients config
        imgdir tmpdir timeout plugins output raw image_manager image_manager_args jeos_config
        tdl_require_root_pw rhevm_image_format openstack_image_format ec2_image_format ec2_ami_type
        ec2-32bit-util ec2-64bit-util proxy_ami_id max_concurrent_local_sessions
        max_concurrent_ec2_sessions oz_data_dir oz_screenshot_dir"""
    assert Config.parse(dict.fromkeys(keys.split())) == Config()


def test_the_origin_of_a_mistake_is_named(tmp_path: Path) -> None:
    file = tmp_path / "factory.toml"
    file.write_text("prot = 1")
    with pytest.raises(
        ConfigError, match=f'The configuration file "{file}" has an unknown key'
    ) as caught:
        settings.load(file=file, environment={})
    assert caught.value.hint == 'Did you mean "port"?'
    given = {"IMAGEFACTORY_PORT": "x"}
    with pytest.raises(
        ConfigError, match=r'The environment \(IMAGEFACTORY_\*\) has "x" for "port"'
    ):
        settings.load(environment={"IMAGEFACTORY_CONFIG": str(_empty(tmp_path)), **given})
    with pytest.raises(ConfigError, match='The command line has "x" for "port"'):
        settings.load(file=_empty(tmp_path), flags={"port": "x"}, environment={})


def test_paths_stay_what_they_are_when_the_daemon_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {
        "state": "s",
        "tmpdir": "t",
        "ssl_pem": "p",
        "image_manager_args": {"storage_path": "b"},
    }
    config = settings.load(file=_empty(tmp_path), flags=given, environment={})
    assert (config.state, config.tmpdir) == (tmp_path / "s", tmp_path / "t")
    assert (config.ssl_pem, config.storage) == (str(tmp_path / "p"), tmp_path / "b")
    assert settings.load(file=_empty(tmp_path), environment={}).ssl_pem == "*"


def test_a_program_has_defaults_of_its_own(tmp_path: Path) -> None:
    defaults = {"debug": True}
    file = _empty(tmp_path)
    assert settings.load(file=file, environment={}, defaults=defaults).debug
    off = settings.load(file=file, environment={}, defaults=defaults, flags={"debug": False})
    assert not off.debug


def _empty(folder: Path) -> Path:
    path = folder / "empty.conf"
    path.write_text("{}")
    return path
