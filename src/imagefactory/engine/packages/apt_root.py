"""A private apt: its own sources, keyrings, indexes and package database, nothing of the host's."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from imagefactory.core.errors import CommandFailed, VerificationError
from imagefactory.engine.files import write_atomically
from imagefactory.engine.locks import wait_for_lock
from imagefactory.engine.mirrors import rewrite, shown
from imagefactory.engine.objects import digest, full_disk
from imagefactory.engine.packages.apt_metadata import Metadata, ask, lay_out
from imagefactory.engine.packages.apt_sources import Source, keyring_suffix
from imagefactory.engine.plan import Build
from imagefactory.engine.sandbox import Sandbox

#: Where apt sees the folder, whatever the host calls it: its caches hold absolute paths.
_PLACE: Final = "/mnt"

_CONFIGURATION: Final = """\
Dir "/mnt/";
Dir::State "/mnt/state";
Dir::State::status "/mnt/status";
Dir::Cache "/mnt/cache";
Dir::Etc "/mnt/etc";
Dir::Log "/mnt/cache";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::GzipIndexes "false";
Acquire::By-Hash "no";
Debug::NoLocking "true";
"""

#: The script that starts apt; a file, because the log shows each command.
_RUN: Final = "run"

#: apt explains a refusal on standard output, which is kept out of the log while all is well.
_SCRIPT: Final = f"""
mount -c -n --bind . {_PLACE}; cd {_PLACE}
output=$("$@") || {{ status=$?; printf '%s\\n' "$output" >&2; exit "$status"; }}
printf '%s\\n' "$output"
"""

_FOLDERS: Final = ("state/lists/partial", "cache/archives/partial", "etc/preferences.d")


@dataclass(frozen=True, kw_only=True)
class AptRoot:
    """One folder with all that apt needs to answer questions about some sources."""

    build: Build
    folder: Path
    architecture: str  #: dpkg's name
    sources: tuple[Source, ...] = ()  #: those that their archives have
    epoch: int = 0  #: seconds since 1970: the newest Release file's date

    def run(self, argv: Sequence[str]) -> str:
        """Run one of apt's programs on this root, without a network; its standard output is not logged."""
        sandbox = Sandbox(state=self.build.state, tools=self.build.tools)
        try:
            return sandbox.host(
                ["sh", "-eu", _RUN, *argv],
                cwd=self.folder,
                env={"APT_CONFIG": f"{_PLACE}/apt.conf"},
                quiet=True,
            )
        except CommandFailed as error:
            if full := full_disk(error):
                raise full from error
            raise

    def status(self, text: str) -> str:
        """A package database other than the empty one, as an option for apt."""
        write_atomically(self.folder / "status.other", text)
        return f"Dir::State::status={_PLACE}/status.other"

    def remembered(self, question: str) -> str | None:
        """What `remember` kept for this question, as long as no index has changed since."""
        path = self._answer(question)
        return path.read_text() if path.exists() else None

    def remember(self, question: str, answer: str) -> None:
        """Keep an answer that these indexes gave."""
        write_atomically(self._answer(question), answer)

    def _answer(self, question: str) -> Path:
        return self.folder / "answers" / hashlib.sha256(question.encode()).hexdigest()

    def lists(self) -> Iterator[tuple[Source, bytes]]:
        """The content of each verified index, with its source, in the order of the sources."""
        found = self.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(FILENAME)"])
        for line in found.splitlines():
            uri, _, path = line.partition(" ")
            number = int(uri.rstrip("/").rpartition("/")[2])
            yield self.sources[number], self._outside(Path(path)).read_bytes()

    def _outside(self, path: Path) -> Path:
        """Where a file that apt names lies; an index that came unpacked is a link to the local copy."""
        found = self.folder / path.relative_to(_PLACE)
        return self._outside(found.readlink()) if found.is_symlink() else found


@contextmanager
def apt_root(build: Build, sources: Sequence[Source], architecture: str) -> Iterator[AptRoot]:
    """The root for some sources, up to date and verified, and this build's alone while the block runs.

    Kept in the cache: what has not changed in the archives is neither fetched nor read again.
    """
    keyrings = [_keyring(source) for source in sources]
    key = _key(sources, keyrings, architecture)
    folder = build.cache / "apt" / key
    _make(build, folder, architecture)
    with (folder / "lock").open("w") as lock:
        wait_for_lock(lock.fileno(), check=build.tools.cancellation.check)
        metadata = ask(build, sources, architecture)
        root = AptRoot(
            build=build,
            folder=folder,
            architecture=architecture,
            sources=tuple(one.source for one in metadata),
            epoch=max((one.release.date for one in metadata if one.release), default=0),
        )
        _refresh(root, metadata, dict(zip(sources, keyrings, strict=True)))
        yield root


def _refresh(
    root: AptRoot, metadata: Sequence[Metadata], keyrings: Mapping[Source, Path | None]
) -> None:
    """Let apt read and verify the metadata, unless it has read just that before."""
    current = json.dumps([[asdict(one.source), one.digest] for one in metadata])
    seal = root.folder / "read.json"
    if seal.exists() and seal.read_text() == current:
        root.build.tools.log("The indexes have not changed since they were read last")
        return
    seal.unlink(missing_ok=True)
    shutil.rmtree(root.folder / "answers", ignore_errors=True)
    lines: list[str] = []
    for number, one in enumerate(metadata):
        copy = root.folder / "archives" / str(number)
        shutil.rmtree(copy, ignore_errors=True)
        lay_out(root.build, one, copy, root.architecture)
        options = _trust(root, one.source, keyrings[one.source], number)
        lines.append(one.source.line(url=f"file:{_PLACE}/archives/{number}", options=options))
    write_atomically(root.folder / "etc" / "sources.list", "".join(f"{line}\n" for line in lines))
    _update(root)
    write_atomically(seal, current)


def _trust(root: AptRoot, source: Source, keyring: Path | None, number: int) -> dict[str, str]:
    """What tells apt whom to believe, and nobody else."""
    options = {"arch": root.architecture}
    if not source.expires:
        options["check-valid-until"] = "no"
    if keyring is None:
        return {**options, "trusted": "yes"}
    content = keyring.read_bytes()
    name = f"{number}{keyring_suffix(content)}"
    write_atomically(root.folder / "keyrings" / name, content)
    return {**options, "signed-by": f"{_PLACE}/keyrings/{name}"}


def _update(root: AptRoot) -> None:
    for source in root.sources:
        place = shown(rewrite(source.release, root.build.mirrors))
        how = f'with the keys in "{source.keyring}"' if source.keyring else "without a signature"
        root.build.tools.log(f'Reading the indexes of "{place}" {how}')
    try:
        root.run(["apt-get", "update"])
    except CommandFailed as error:
        raise _refused(root, error) from error


def _refused(root: AptRoot, error: CommandFailed) -> Exception:
    """All that can fail when apt reads local copies is that it does not believe them."""
    match = re.search(rf"file:{_PLACE}/archives/(\d+)", error.tail)
    if match is None:
        return error
    source = root.sources[int(match[1])]
    place = shown(rewrite(source.release, root.build.mirrors))
    return VerificationError(
        f'The metadata at "{place}" cannot be trusted: {_doubt(error.tail)}',
        hint=f'It is verified with the keys in "{source.keyring}"' if source.keyring else None,
    )


def _doubt(tail: str) -> str:
    doubts = {
        r"NO_PUBKEY (\w+)": "it is signed by the unknown key {}",
        r"BADSIG (\w+)": "its content does not match the signature by the key {}",
        r"EXPKEYSIG (\w+)": "the key {} that signed it has expired",
        r"Release file .* is expired \((invalid since [^)]*)\)": "it has expired ({})",
        r"(Hash Sum|File has unexpected size) mismatch": "an index does not match its Release file",
        r"is (not signed)": "it is {}",
    }
    for pattern, sentence in doubts.items():
        if match := re.search(pattern, tail):
            return sentence.format(match[1])
    lines = [line for line in tail.splitlines() if line.startswith(("E:", "W:"))]
    return lines[0][3:] if lines else "apt does not say why"


def _keyring(source: Source) -> Path | None:
    if source.keyring is None:
        return None
    path = Path(source.keyring)
    if not path.is_file():
        msg = f'The keyring "{path}", which "{shown(source.url)}" is verified with, does not exist'
        raise VerificationError(msg, hint="Install the package that brings it")
    return path


def _key(sources: Sequence[Source], keyrings: Sequence[Path | None], architecture: str) -> str:
    content = {
        "configuration": _CONFIGURATION,
        "architecture": architecture,
        "sources": [asdict(source) for source in sources],
        "keyrings": [path and digest(path) for path in keyrings],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _make(build: Build, folder: Path, architecture: str) -> None:
    sandbox = Sandbox(state=build.state, tools=build.tools)
    for path in (build.cache / "apt", folder):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o755)
    for name in _FOLDERS:
        sandbox.own(folder / name, mode=0o755)
    for name in ("state", "state/lists", "cache", "cache/archives"):
        sandbox.own(folder / name, mode=0o755)
    (folder / "etc" / "apt.conf.d").mkdir(exist_ok=True)
    write_atomically(folder / "apt.conf", _CONFIGURATION.format(architecture=architecture))
    write_atomically(folder / "status", "")
    write_atomically(folder / _RUN, _SCRIPT)
