"""After the reset nothing in a tree tells two machines apart that must not, or as one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.guest import a_guest
from imagefactory.core.template import Command, Content, File
from imagefactory.engine.customize import RunCommands, WriteFiles
from imagefactory.engine.identity import ResetIdentity
from imagefactory.engine.plan import Build
from imagefactory.engine.tree import Tree

pytestmark = pytest.mark.integration

GONE = (
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_ed25519_key.pub",
    "/var/lib/systemd/random-seed",
    "/root/.bash_history",
    "/var/lib/apt/lists/mirror_Packages",
    "/var/cache/apt/pkgcache.bin",
    "/tmp/left",
    "/tmp/.hidden/left",
    "/var/tmp/left",
    "/var/log/journal/0123/system.journal",
    "/var/log/syslog.1",
    "/var/log/old.gz",
)
KEPT = ("/etc/ssh/sshd_config", "/root/.ssh/authorized_keys", "/etc/motd")


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    with a_guest(tmp_path) as made:
        names = (
            *GONE,
            *KEPT,
            "/etc/machine-id",
            "/var/lib/dbus/machine-id",
            "/var/log/odd \n name",
        )
        files = tuple(File(name=name, content=Content(text="x")) for name in names)
        WriteFiles(files=files).run(made)
        yield made


def run(build: Build, script: str) -> None:
    command = Command(name="prepare", content=Content(text=script))
    RunCommands(commands=(command,), network=False).run(build)


def test_what_must_not_be_shared_is_gone_and_the_rest_stays(build: Build) -> None:
    run(build, "mkdir -p /var/log/x; chmod 640 /var/log/odd*; echo x > /var/log/x/error.log")
    ResetIdentity().run(build)
    tree = Tree.load(build)
    assert [name for name in GONE if tree.read(name) is not None] == []
    assert [tree.read(name) for name in KEPT] == [b"x"] * len(KEPT)
    assert tree.read("/etc/machine-id") == b""
    assert tree.run(["stat", "-c", "%N", "/var/lib/dbus/machine-id"]).count("/etc/machine-id") == 1
    logs = tree.run(["stat", "-c", "%s %a", "/var/log/odd \n name", "/var/log/x/error.log"])
    assert logs == "0 640\n0 644\n"
    assert tree.run(["stat", "-c", "%a", "/tmp"]) == "1777\n"


def test_a_system_without_an_ssh_server_gets_no_unit(build: Build) -> None:
    ResetIdentity().run(build)
    tree = Tree.load(build)
    assert tree.read("/etc/systemd/system/imagefactory-ssh-keys.service") is None
    assert tree.read("/etc/machine-id") == b""


def test_an_ssh_server_gets_its_keys_at_the_first_boot(build: Build) -> None:
    run(build, "echo > /usr/sbin/sshd; chmod 755 /usr/sbin/sshd")
    ResetIdentity().run(build)
    tree = Tree.load(build)
    unit = (tree.read("/etc/systemd/system/imagefactory-ssh-keys.service") or b"").decode()
    assert "ssh-keygen -q -t ed25519" in unit
    wanted = "/etc/systemd/system/ssh.service.wants/imagefactory-ssh-keys.service"
    assert tree.read(wanted) is not None


def test_a_link_to_the_machine_id_stays_a_link(build: Build) -> None:
    run(build, "ln -sf /etc/machine-id /var/lib/dbus/machine-id; rm /etc/machine-id")
    ResetIdentity().run(build)
    assert Tree.load(build).read("/etc/machine-id") == b""
    assert Tree.load(build).read("/var/lib/dbus/machine-id") == b""
