"""A private dnf or zypper: its own repositories, keys and caches, nothing of the host's."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from imagefactory.core.errors import PackageError, VerificationError
from imagefactory.core.lock import LockedPackage
from imagefactory.engine.files import write_atomically
from imagefactory.engine.locks import wait_for_lock
from imagefactory.engine.mirrors import rewrite, shown
from imagefactory.engine.objects import digest
from imagefactory.engine.packages.dnf_metadata import RpmMetadata, ask, lay_out
from imagefactory.engine.packages.dnf_program import PROGRAM
from imagefactory.engine.packages.dnf_sources import RpmSource
from imagefactory.engine.packages.rpm_index import Known, Listed, listed
from imagefactory.engine.packages.zypper_program import PROGRAM as ZYPPER
from imagefactory.engine.plan import Build
from imagefactory.engine.sandbox import Sandbox

#: Where dnf sees the folder, whatever the host calls it: its caches hold absolute paths.
_PLACE: Final = "/mnt"
_RUN: Final = "run"
_PROGRAM: Final = "resolve.py"
_SCRIPT: Final = f"""
mount -c -n --bind . {_PLACE}; cd {_PLACE}
exec /usr/bin/python3 -I {_PROGRAM}
"""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What dnf is to choose packages for."""

    base: tuple[str, ...]
    packages: tuple[str, ...]  #: `name`, `name-version` or `@group`
    arch: str  #: rpm's `basearch`
    release: str  #: `releasever`
    platform: str  #: of modules, e.g. `platform:el9`


@dataclass(frozen=True, kw_only=True)
class DnfRoot:
    """One folder with all that dnf needs to answer questions about some repositories."""

    build: Build
    folder: Path
    metadata: tuple[RpmMetadata, ...]  #: of the repositories that there are
    own: frozenset[str]  #: names of the distribution's repositories

    program: ClassVar[str] = PROGRAM
    shelf: ClassVar[str] = "dnf"  #: of the cache

    @property
    def epoch(self) -> int:
        """Seconds since 1970: the newest index's date."""
        return max((one.date for one in self.metadata), default=0)

    def choose(self, question: Question) -> tuple[LockedPackage, ...]:
        """The exact set; `PackageError` says why there is none."""
        request = {
            "substitutions": {
                "arch": question.arch,
                "basearch": question.arch,
                "releasever": question.release,
            },
            "platform": question.platform,
            "base": question.base,
            "packages": question.packages,
            "own": [one.source.name for one in self.metadata if one.source.name in self.own],
            "foreign": [
                one.source.name for one in self.metadata if one.source.name not in self.own
            ],
            "repositories": [_entry(one.source, n) for n, one in enumerate(self.metadata)],
        }
        sandbox = Sandbox(state=self.build.state, tools=self.build.tools)
        text = sandbox.host(
            ["sh", "-eu", _RUN],
            cwd=self.folder,
            env={"HOME": f"{_PLACE}/persist", "ZYPP_LOGFILE": "/dev/null", "LC_ALL": "C.UTF-8"},
            stdin=json.dumps(request).encode(),
            quiet=True,
        )
        return self._packages(json.loads(text))

    def _packages(self, answer: Mapping[str, Any]) -> tuple[LockedPackage, ...]:
        if why := answer.get("untrusted"):
            raise self._untrusted(why)
        if unknown := answer.get("unknown"):
            msg = f'The package "{unknown[0]}" is in none of the repositories'
            raise PackageError(msg, hint="Check its name, and the template's repositories")
        if why := answer.get("failed"):
            lines = [line.strip(" -") for line in why.splitlines() if line.strip(" -")]
            msg = f"The packages cannot be installed together: {'; '.join(lines[-2:])}"
            raise PackageError(msg)
        sources = {one.source.name: one.source for one in self.metadata}
        return tuple(_locked(one, sources[one["repository"]]) for one in self._chosen(answer))

    def _chosen(self, answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """What was chosen, each with its file."""
        return list(answer["packages"])

    def _untrusted(self, why: str) -> VerificationError:
        guilty = next((one for one in self.metadata if f"'{one.source.name}'" in why), None)
        source = (guilty or self.metadata[0]).source
        place = shown(rewrite(source.url, self.build.mirrors))
        hint = f'It is verified with the keys in "{source.keys}"' if source.keys else None
        why = why.splitlines()[0].replace(_PLACE, "")
        return VerificationError(f'The metadata at "{place}" cannot be trusted: {why}', hint=hint)


class ZypperRoot(DnfRoot):
    """The same for zypper, which names what it would install and not the files."""

    program: ClassVar[str] = ZYPPER
    shelf: ClassVar[str] = "zypper"

    def _chosen(self, answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        layers: dict[Known, str] = {
            (name, edition, arch): layer for name, edition, arch, layer in answer["chosen"]
        }
        found: dict[Known, tuple[str, Listed]] = {}
        for number, one in enumerate(self.metadata):
            primary = self.folder / "archives" / str(number) / one.primary
            for entry in listed(primary, layers):
                found.setdefault(entry.known, (one.source.name, entry))
        if missing := sorted(layers.keys() - found.keys()):
            msg = f'The package "{" ".join(missing[0])}" is in no index'
            raise PackageError(msg)
        return [
            {
                "name": known[0],
                "version": known[1],
                "arch": known[2],
                "layer": layer,
                "repository": found[known][0],
                "location": found[known][1].location,
                "size": found[known][1].size,
                "checksum": found[known][1].kind,
                "digest": found[known][1].digest,
            }
            for known, layer in layers.items()
        ]


@contextmanager
def dnf_root(
    build: Build,
    own: Sequence[RpmSource],
    foreign: Sequence[RpmSource] = (),
    *,
    kind: type[DnfRoot] = DnfRoot,
) -> Iterator[DnfRoot]:
    """The root for some repositories, up to date, and this build's alone while the block runs."""
    sources = (*own, *foreign)
    folder = build.cache / kind.shelf / _key(sources)
    _make(build, folder, program=kind.program)
    with (folder / "lock").open("w") as lock:
        wait_for_lock(lock.fileno(), check=build.tools.cancellation.check)
        metadata = ask(build, sources)
        for number, one in enumerate(metadata):
            place = shown(rewrite(one.source.url, build.mirrors))
            how = f'with the keys in "{one.source.keys}"' if one.source.signed_index else ""
            build.tools.log(f'Reading the index of "{place}" {how}'.strip())
            lay_out(build, one, folder / "archives" / str(number))
            if one.source.keys is not None:
                content = Path(one.source.keys).read_bytes()
                write_atomically(folder / "keys" / str(number), content)
        yield kind(
            build=build,
            folder=folder,
            metadata=tuple(metadata),
            own=frozenset(source.name for source in own),
        )


def _entry(source: RpmSource, number: int) -> dict[str, Any]:
    return {
        "id": source.name,
        "url": f"file://{_PLACE}/archives/{number}",
        "keys": f"file://{_PLACE}/keys/{number}" if source.keys else None,
        "signed_index": source.signed_index,
    }


def _locked(one: Mapping[str, Any], source: RpmSource) -> LockedPackage:
    if one["checksum"] != "sha256":
        msg = f'The package "{one["name"]}" has no SHA-256 in the index of "{source.name}"'
        raise PackageError(msg)
    return LockedPackage(
        name=one["name"],
        version=one["version"],
        arch=one["arch"],
        url=f"{source.url}/{one['location']}",
        size=one["size"],
        sha256=one["digest"],
        origin=source.name,
        layer=one["layer"],
    )


def _key(sources: Sequence[RpmSource]) -> str:
    content = [[asdict(source), source.keys and digest(Path(source.keys))] for source in sources]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _make(build: Build, folder: Path, *, program: str) -> None:
    sandbox = Sandbox(state=build.state, tools=build.tools)
    for path in (folder.parent, folder):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o755)
    for name in ("cache", "persist", "root"):
        sandbox.own(folder / name, mode=0o755)
    write_atomically(folder / _RUN, _SCRIPT)
    write_atomically(folder / _PROGRAM, program)
