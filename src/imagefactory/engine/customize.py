"""The steps that make a system what its template says: files, commands, root's password, no identity."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from imagefactory.core.errors import CommandFailed
from imagefactory.core.secret import Secret
from imagefactory.core.template import Command, Content, File
from imagefactory.engine.disk.origin import Origin
from imagefactory.engine.fetch import fetch
from imagefactory.engine.plan import Build, Step
from imagefactory.engine.tree import Change, Tree

_LARGEST: Final = 256 * 1024**2  # bytes of one fetched content, which is held in memory
_SALT: Final = 16  # characters, the most that crypt(5) takes
_TOLD: Final = 3  # of a failed command's last lines

#: Of a file that is there already owner and mode stay, as scp, which first wrote them, leaves them.
_WRITE: Final = 'umask 022; mkdir -p "$(dirname "$1")" && cat > "$1"'

_COMMAND: Final = "/run/command"  # of the sandbox's own /run: it never is in the image

# The text comes through standard input, as it may hold secrets and arguments are seen by everyone. Both
# outputs become one, so that they keep their order. policy-rc.d(8) keeps services from starting.
_RUN: Final = f"""
set -eu
umask 022
policy=/usr/sbin/policy-rc.d
if [ -x /usr/sbin/invoke-rc.d ] && [ ! -e "$policy" ]; then
    printf '#!/bin/sh\\nexit 101\\n' > "$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
cat > {_COMMAND}
chmod 700 {_COMMAND}
cd "$HOME" 2> /dev/null || true
status=0
"$@" < /dev/null >&2 || status=$?
exit "$status"
"""

_ENV: Final = {
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/sh",
    "DEBIAN_FRONTEND": "noninteractive",
    "SYSTEMD_OFFLINE": "1",
}


@dataclass(frozen=True, kw_only=True)
class WriteFiles(Step):
    """Writes a template's files: new ones as root's, readable by all; one that is there keeps its mode."""

    weight: ClassVar[int] = 1

    files: tuple[File, ...]

    @property
    def activity(self) -> str:
        return "Writing files"

    def lasts(self) -> float | None:
        return lasting([file.content for file in self.files])

    def run(self, build: Build) -> None:
        if not self.files:
            return
        contents = [content_data(build, file.content) for file in self.files]
        key = keyed(self.key, contents)
        with Tree.load(build).shared("files", key=key, dated=False) as change:
            if change is None:
                return
            for number, (file, data) in enumerate(zip(self.files, contents, strict=True)):
                build.report(100 * number // len(self.files))
                _write(build, change, file, data)


def _write(build: Build, change: Change, file: File, data: bytes) -> None:
    build.tools.log(f'Writing "{file.name}"')
    try:
        change.run(["sh", "-c", _WRITE, "sh", file.name], stdin=data, env=_ENV, keep_tmp=True)
    except CommandFailed as error:
        raise _failed(f'The file "{file.name}" cannot be written', error) from error


@dataclass(frozen=True, kw_only=True)
class _Commands(Step):
    weight: ClassVar[int] = 5

    commands: tuple[Command, ...]
    network: bool = True  #: whether they may reach it
    lasting: int = 0  #: seconds for which what they have of the network is good for other builds

    def lasts(self) -> float | None:
        if self.commands and self.network:
            return self.lasting
        return lasting([command.content for command in self.commands])

    def _run(self, build: Build, *, layer: str) -> None:
        if not self.commands:
            return
        contents = [content_data(build, command.content) for command in self.commands]
        key = None if self.network and not self.lasting else keyed(self.key, contents)
        lasting = self.lasting if self.network else None
        with Tree.load(build).shared(layer, key=key, lasting=lasting) as change:
            if change is None:
                return
            for number, (command, data) in enumerate(zip(self.commands, contents, strict=True)):
                share = 100 * number // len(self.commands)
                build.report(share, f'Running the command "{command.name}"')
                self._run_one(build, change, command, data)

    def _run_one(self, build: Build, change: Change, command: Command, data: bytes) -> None:
        argv = [_COMMAND] if data.startswith(b"#!") else ["sh", _COMMAND]
        build.tools.log(f'Running the command "{command.name}"')
        try:
            change.run(
                ["sh", "-c", _RUN, "sh", *argv],
                network=self.network,
                env=_ENV,
                stdin=data,
                keep_tmp=True,
            )
        except CommandFailed as error:
            raise _failed(f'The command "{command.name}" failed', error) from error


@dataclass(frozen=True, kw_only=True)
class RunPrecommands(_Commands):
    """Runs the commands that come before packages are installed; the first that fails ends the build."""

    @property
    def activity(self) -> str:
        return "Running precommands"

    def run(self, build: Build) -> None:
        self._run(build, layer="precommands")


@dataclass(frozen=True, kw_only=True)
class RunCommands(_Commands):
    """Runs a template's commands in their order; the first that fails ends the build."""

    @property
    def activity(self) -> str:
        return "Running commands"

    def run(self, build: Build) -> None:
        self._run(build, layer="commands")


@dataclass(frozen=True, kw_only=True)
class SetRootPassword(Step):
    """Gives root a password, or with None makes sure that no password opens the account."""

    password: Secret | None

    @property
    def activity(self) -> str:
        return "Locking root's password" if self.password is None else "Setting root's password"

    def run(self, build: Build) -> None:
        hashed = "*" if self.password is None else hashed_password(build, self.password)
        with Tree.load(build).shared("root-password", key=self.key) as change:
            if change is None:
                return
            change.run(["chpasswd", "--encrypted"], stdin=f"root:{hashed}\n".encode())


def hashed_password(build: Build, password: Secret, *, user: str = "root") -> str:
    """The password as crypt(5)'s SHA-512, with a salt that the same lock gives again.

    The salt does not depend on the password: it is no secret, and would be a quick way to try words.
    """
    digest = hashlib.sha256(f"{user}\n{Origin.of(build).key}".encode()).digest()
    salt = base64.b64encode(digest, altchars=b"./").decode()[:_SALT]
    argv = ["openssl", "passwd", "-6", "-salt", salt, "-stdin"]
    return build.tools.run(argv, stdin=f"{password.reveal()}\n".encode(), quiet=True).strip()


def content_data(build: Build, content: Content) -> bytes:
    """The bytes of a content, fetched where it is a URL."""
    return fetch(build, content.text, limit=_LARGEST) if content.type == "url" else content.data()


def lasting(contents: Sequence[Content]) -> float | None:
    """What is behind a URL is looked at each time."""
    return 0 if any(content.type == "url" for content in contents) else None


def keyed(key: str, contents: Sequence[bytes]) -> str:
    """The key of a step whose contents are known now: behind a URL there may be others each time."""
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    return hashlib.sha256("\n".join([key, *digests]).encode()).hexdigest()


def _failed(what: str, error: CommandFailed) -> CommandFailed:
    lines = [line.strip() for line in error.tail.splitlines() if line.strip()]
    told = "; ".join(lines[-_TOLD:])
    brief = f"{what} with exit status {error.exit_status}" + (f": {told}" if told else "")
    return CommandFailed(brief, exit_status=error.exit_status, tail=error.tail)
