"""What a machine is told to do beside booting, as shell commands, in the order of a template.

The first that fails is the last that is done: each looks for the mark that it would have left.
"""

import base64
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from imagefactory.core.contents import File, Package, Repository
from imagefactory.core.template import Template
from imagefactory.engine.customize import content_data
from imagefactory.engine.packages.apt_repositories import guest_line
from imagefactory.engine.plan import Build

_FAILED: Final = "/run/imagefactory-failed"
_SCRIPT: Final = "/run/imagefactory-command"
_PIECE: Final = 48 << 10  # bytes; as base64 in quotes it is well below what one argument may be
_ONCE: Final = """[ ! -e {mark} ] || exit 125
( {command}
) || {{ status=$?; : > {mark}; exit $status; }}"""
_INSTALL: Final = """export DEBIAN_FRONTEND=noninteractive
if command -v apt-get >/dev/null; then apt-get -qq update && apt-get -qq install --yes {names}
elif command -v dnf >/dev/null; then dnf --assumeyes --quiet install {names}
elif command -v yum >/dev/null; then yum --assumeyes --quiet install {names}
elif command -v zypper >/dev/null; then zypper --non-interactive install {names}
else echo 'there is no package manager'; exit 1
fi"""


@dataclass(frozen=True, kw_only=True)
class Errand:
    """A shell command, and what messages call it."""

    what: str
    command: str

    @property
    def line(self) -> str:
        """The command as it is run: not at all when an earlier one has failed."""
        return _ONCE.format(mark=_FAILED, command=self.command)


def errands(build: Build, wanted: Template) -> Iterator[Errand]:
    """Repositories, packages, files and commands of a template; contents behind URLs are fetched here."""
    for repository in wanted.repositories:
        yield _repository(repository)
    if wanted.packages:
        yield _install(wanted.packages)
    for file in wanted.files:
        yield from _written(f'writing "{file.name}"', file.name, _data(build, file))
    for command in wanted.commands:
        data = content_data(build, command.content)
        what = f'the command "{command.name}"'
        yield from _written(what, _SCRIPT, data)
        run = f"chmod 700 {_SCRIPT}; cd; {_SCRIPT if data.startswith(b'#!') else f'sh {_SCRIPT}'}"
        yield Errand(what=what, command=run)


def _data(build: Build, file: File) -> bytes:
    return content_data(build, file.content)


def _repository(repository: Repository) -> Errand:
    """A source for apt, which has a line of its own, or for the others."""
    name = repository.name.replace("/", "_")
    texts: Mapping[str, str]
    if repository.url.startswith("deb"):
        texts = {f"/etc/apt/sources.list.d/{name}.list": guest_line(repository, None)}
    else:
        checked = int(repository.signed)
        lines = [f"[{name}]", f"name={name}", f"baseurl={repository.url}", "enabled=1"]
        lines += [f"gpgcheck={checked}", f"sslverify={int(repository.sslverify)}", ""]
        texts = {f"/etc/yum.repos.d/{name}.repo": "\n".join(lines)}
    [(path, text)] = texts.items()
    [errand] = _written(f'adding the repository "{repository.name}"', path, text.encode())
    return errand


def _install(packages: tuple[Package, ...]) -> Errand:
    names = shlex.join(package.name for package in packages)
    return Errand(what="installing packages", command=_INSTALL.format(names=names))


def _written(what: str, path: str, data: bytes) -> Iterator[Errand]:
    """A file, piece by piece."""
    quoted = shlex.quote(path)
    for at in range(0, max(len(data), 1), _PIECE):
        piece = base64.b64encode(data[at : at + _PIECE]).decode()
        write = f"printf %s {piece or chr(39) * 2} | base64 -d {'>>' if at else '>'} {quoted}"
        yield Errand(what=what, command=f'umask 022; mkdir -p "$(dirname {quoted})"; {write}')
