"""Refuses packages that their repository's keys do not vouch for."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from imagefactory.core.errors import CommandFailed, VerificationError
from imagefactory.core.lock import LockedPackage
from imagefactory.engine.command import Tools
from imagefactory.engine.files import write_atomically
from imagefactory.engine.mirrors import shown
from imagefactory.engine.sandbox import Sandbox

#: Each repository's packages against its own keys: no repository can vouch for another's. The first
#: argument is the folder of the keys' database, the second the file of the keys. rpm tells on standard output.
_SCRIPT: Final = """
set -eu
db=$(mktemp -d)
trap 'rm -rf "$db"' EXIT
rpmkeys --define "_dbpath $db" --import "$1"
xargs -a "$2" rpmkeys --define "_dbpath $db" --define '_pkgverify_level signature' --checksig --verbose >&2
"""
_FILE: Final = re.compile(r"(?P<file>\S+\.rpm):")
_CHECK: Final = re.compile(
    r"\s+(?P<what>.*(?:signature|digest).*): (?P<verdict>\w+)", re.IGNORECASE
)
_WHY: Final = {
    "BAD": "its signature or digest is bad",
    "NOKEY": "it is signed by an unknown key",
    "NOTTRUSTED": "it is signed by a key that is not trusted",
}


def file_name(package: LockedPackage) -> str:
    """What a package's file is called in the folder that it is installed from."""
    version = package.version.replace(":", "_")
    return f"{package.name}-{version}.{package.arch}.rpm"


def verify(
    sandbox: Sandbox,
    folder: Path,
    packages: Sequence[LockedPackage],
    keys: Mapping[str, Path | None],
) -> None:
    """`VerificationError` names a package in `folder` that its origin's keys have not signed.

    `keys` maps an origin to the file of its keys, in `folder`; None: nothing vouches for its packages.
    """
    for number, (origin, file) in enumerate(keys.items()):
        own = {file_name(package): package for package in packages if package.origin == origin}
        if file is None or not own:
            continue
        names = f"names-{number}"
        write_atomically(folder / names, "".join(f"{name}\n" for name in own))
        told: list[str] = []
        tools = Tools(log=told.append, cancellation=sandbox.tools.cancellation)
        try:
            Sandbox(state=sandbox.state, tools=tools).host(
                ["sh", "-c", _SCRIPT, "sh", str(file.relative_to(folder)), names],
                cwd=folder,
                env={"HOME": "/nonexistent"},
            )
        except CommandFailed as error:
            name, why = _guilty(told)
            if name not in own:
                raise
            package = own[name]
            msg = (
                f'The package "{package.name}" from "{shown(package.url)}" cannot be trusted: {why}'
            )
            hint = f'It is verified with the keys of "{origin}"'
            raise VerificationError(msg, hint=hint) from error
        sandbox.tools.log(f'The keys of "{origin}" have signed {len(own)} packages')


def _guilty(lines: Sequence[str]) -> tuple[str, str]:
    """The file that rpmkeys is not content with, and why; empty when it tells of none."""
    name, signed, bad = "", True, ""
    for line in [*lines, "end.rpm:"]:
        if match := _FILE.fullmatch(line):
            if bad or not signed:
                return name, bad or "it is not signed"
            name, signed = match["file"], False
        elif match := _CHECK.fullmatch(line):
            is_signature = "signature" in match["what"].lower()
            signed = signed or (is_signature and match["verdict"] == "OK")
            bad = bad or _WHY.get(match["verdict"], "")
    return "", ""
