"""What the customizing steps say of themselves, and what they do to a real tree."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.guest import a_guest
from imagefactory.core.errors import CommandFailed
from imagefactory.core.secret import Secret
from imagefactory.core.template import Command, Content, File
from imagefactory.engine.command import Tools
from imagefactory.engine.customize import RunCommands, RunPrecommands, SetRootPassword, WriteFiles
from imagefactory.engine.plan import Build, show
from imagefactory.engine.tree import Tree


def command(script: str, *, name: str = "it", position: int | None = None) -> Command:
    return Command(name=name, content=Content(text=script), position=position)


def file(name: str, text: str) -> File:
    return File(name=name, content=Content(text=text))


def test_a_plan_tells_what_is_done_but_no_content() -> None:
    plan = (
        RunPrecommands(commands=(command("echo hush"),)),
        WriteFiles(files=(file("/etc/motd", "hush"),)),
        SetRootPassword(password=Secret("hush")),
        RunCommands(commands=(command("echo hush", name="greet"),), network=False),
    )
    shown = show(plan)
    assert "hush" not in shown
    assert "/etc/motd" in shown
    assert "greet" in shown


def test_the_key_of_a_step_knows_what_its_repr_hides() -> None:
    steps = [
        RunCommands(commands=(command("a"),)),
        RunCommands(commands=(command("b"),)),
        RunCommands(commands=(command("a"),), network=False),
        RunPrecommands(commands=(command("a"),)),
        SetRootPassword(password=None),
        SetRootPassword(password=Secret("a")),
        SetRootPassword(password=Secret("b")),
        WriteFiles(files=(file("/a", "a"),)),
        WriteFiles(files=(file("/a", "b"),)),
    ]
    assert len({step.key for step in steps}) == len(steps)
    assert RunCommands(commands=(command("a"),)) == steps[0]
    assert RunCommands(commands=(command("a"),)).key == steps[0].key


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def build(tmp_path: Path, log: list[str]) -> Iterator[Build]:
    with a_guest(tmp_path, tools=Tools(log=log.append)) as made:
        yield made


def read(build: Build, path: str) -> bytes | None:
    return Tree.load(build).read(path)


@pytest.mark.integration
class TestInATree:
    def test_nothing_to_do_makes_no_layer(self, build: Build) -> None:
        layers = Tree.load(build).layers
        for step in (RunPrecommands(commands=()), RunCommands(commands=()), WriteFiles(files=())):
            step.run(build)
        assert Tree.load(build).layers == layers

    def test_files_are_written_as_scp_would(self, build: Build) -> None:
        RunPrecommands(commands=(command("echo old > /root/script; chmod 750 /root/script"),)).run(
            build
        )
        logo = File(name="/usr/share/a b/it's", content=Content(type="base64", text="AP8K"))
        WriteFiles(files=(file("/etc/new", "é"), logo, file("/root/script", "new"))).run(build)
        tree = Tree.load(build)
        assert tree.read("/etc/new") == "é".encode()
        assert tree.read("/root/script") == b"new"
        modes = tree.run(["stat", "-c", "%a %u:%g %s", "/etc/new", "/root/script", logo.name])
        assert modes == "644 0:0 2\n750 0:0 3\n644 0:0 3\n"

    def test_a_file_that_cannot_be_written_is_named(self, build: Build) -> None:
        with pytest.raises(CommandFailed, match=r'^The file "/etc" cannot be written .*directory'):
            WriteFiles(files=(file("/etc", "x"),)).run(build)

    def test_commands_find_the_files_in_tmp_and_what_others_left_there(self, build: Build) -> None:
        WriteFiles(files=(file("/tmp/setup.sh", "echo ran > /tmp/ran"),)).run(build)
        commands = (command("sh /tmp/setup.sh"), command("cp /tmp/ran /etc/ran", name="copy"))
        with pytest.raises(CommandFailed, match=r'"copy".*cp'):
            RunCommands(commands=commands).run(build)  # there is no cp in this guest
        RunCommands(commands=(commands[0], command("cat /tmp/ran > /etc/ran"))).run(build)
        assert read(build, "/etc/ran") == b"ran\n"

    def test_commands_run_as_over_ssh(self, build: Build, log: list[str]) -> None:
        script = 'echo "$HOME $USER $(id -u) $PWD $0" > /etc/seen; cat; echo shown; echo too >&2'
        RunCommands(commands=(command(script),)).run(build)
        assert read(build, "/etc/seen") == b"/root root 0 /root /run/command\n"
        assert [line for line in log if line in {"shown", "too"}] == ["shown", "too"]

    def test_a_script_is_run_by_the_interpreter_it_names(self, build: Build) -> None:
        RunCommands(
            commands=(
                command('#!/bin/bash\nwords=(a b c); echo "${words[1]}" > /etc/word'),
                command('echo "${BASH_VERSION-none}" > /etc/bash'),
            )
        ).run(build)
        assert read(build, "/etc/word") == b"b\n"

    def test_neither_script_nor_secret_is_left_or_shown(self, build: Build, log: list[str]) -> None:
        secret = "hunter" + "2"
        scan = 'for file in /proc/[0-9]*/cmdline; do cat "$file" >> /etc/arguments; done'
        RunCommands(commands=(command(f"password={secret}\n{scan}"),)).run(build)
        assert secret.encode() not in (read(build, "/etc/arguments") or b"")
        assert secret not in "\n".join(log)
        layer = Tree.load(build).layers[-1]
        left = sorted(str(path.relative_to(layer)) for path in layer.rglob("*") if path.is_file())
        assert left == ["etc/arguments"]

    def test_a_failing_command_is_told_with_its_last_lines(
        self, build: Build, log: list[str]
    ) -> None:
        layers = Tree.load(build).layers
        script = "for n in 1 2 3 4; do echo line $n; done; exit 7"
        commands = (command("true"), command(script, name="break"), command("echo never"))
        with pytest.raises(CommandFailed) as caught:
            RunCommands(commands=commands).run(build)
        error = caught.value
        assert error.brief == (
            'The command "break" failed with exit status 7: line 2; line 3; line 4'
        )
        assert error.exit_status == 7
        assert "never" not in log
        assert Tree.load(build).layers == layers, "nothing of it stays"

    def test_a_command_without_its_interpreter_fails(self, build: Build) -> None:
        with pytest.raises(CommandFailed, match='"odd" failed with exit status 127'):
            RunCommands(commands=(command("#!/usr/bin/ruby\n1", name="odd"),)).run(build)

    def test_the_network_is_there_only_when_allowed(self, build: Build) -> None:
        script = "cat /proc/net/dev > /etc/devices"
        RunCommands(commands=(command(script),), network=False).run(build)
        assert (read(build, "/etc/devices") or b"").count(b":") == 1, "loopback alone"
        RunCommands(commands=(command(script),), network=True).run(build)
        host = Path("/proc/net/dev").read_text().count(":")
        assert (read(build, "/etc/devices") or b"").count(b":") == host

    def test_services_are_kept_from_starting_and_the_policy_does_not_stay(
        self, build: Build
    ) -> None:
        debian = (
            "mkdir -p /usr/sbin; echo '#!/bin/sh' > /usr/sbin/invoke-rc.d;"
            "chmod 755 /usr/sbin/invoke-rc.d"
        )
        RunPrecommands(commands=(command(debian),)).run(build)
        ask = "status=0; /usr/sbin/policy-rc.d nginx start || status=$?; echo $status > /etc/answer"
        RunCommands(commands=(command(ask),)).run(build)
        assert read(build, "/etc/answer") == b"101\n"
        assert read(build, "/usr/sbin/policy-rc.d") is None

    def test_what_a_command_leaves_running_is_gone(self, build: Build) -> None:
        RunCommands(commands=(command("sleep 86397 & echo started"),)).run(build)
        arguments = b"sleep\x00" + b"86397"
        running = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _holds(path, arguments)]
        assert not running

    def test_progress_names_the_command(self, build: Build) -> None:
        RunCommands(commands=(command("true", name="one"), command("true", name="two"))).run(build)
        assert build.report.activities == [  # type: ignore[attr-defined] # the fake's
            'Running the command "one"',
            'Running the command "two"',
        ]

    def test_the_password_is_hashed_and_neither_is_shown(
        self, build: Build, log: list[str]
    ) -> None:
        password = "pass: wörd #1"
        SetRootPassword(password=Secret(password)).run(build)
        shadow = (read(build, "/etc/shadow") or b"").decode().split(":")
        assert shadow[0] == "root"
        empty, method, salt, _ = shadow[1].split("$")
        assert (empty, method) == ("", "6")
        again = ["openssl", "passwd", "-6", "-salt", salt, "-stdin"]
        assert Tools().run(again, stdin=password.encode() + b"\n").strip() == shadow[1]
        told = "\n".join(log)
        assert password not in told
        assert shadow[1] not in told
        SetRootPassword(password=Secret(password)).run(build)
        assert (read(build, "/etc/shadow") or b"").decode().split(":") == shadow, "the same again"
        SetRootPassword(password=Secret("another")).run(build)
        other = (read(build, "/etc/shadow") or b"").decode().split(":")[1]
        assert other.split("$")[2] == salt, "which tells nothing about the password"

    def test_the_longest_password_is_not_cut(self, build: Build) -> None:
        hashes = set()
        for last in "ab":
            SetRootPassword(password=Secret("x" * 255 + last)).run(build)
            hashed = (read(build, "/etc/shadow") or b"").decode().split(":")[1]
            salt = hashed.split("$")[2]
            argv = ["openssl", "passwd", "-6", "-salt", salt, "-stdin"]
            for other in "ab":
                same = Tools().run(argv, stdin=f"{'x' * 255}{other}\n".encode()).strip() == hashed
                hashes.add((last, other, same))
        assert hashes == {("a", "a", True), ("a", "b", False), ("b", "a", False), ("b", "b", True)}

    def test_no_password_opens_an_account_without_one(self, build: Build) -> None:
        SetRootPassword(password=None).run(build)
        assert (read(build, "/etc/shadow") or b"").startswith(b"root:*:")


def _holds(path: Path, arguments: bytes) -> bool:
    try:
        return arguments in path.read_bytes()
    except OSError:
        return False
