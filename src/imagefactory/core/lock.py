"""The lock: exactly which packages and files a build is made of."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Self

from imagefactory.core.errors import RequestError

FORMAT: Final = "imagefactory-lock/1"


@dataclass(frozen=True, kw_only=True, order=True)
class LockedPackage:
    """One package file: what it is, where it came from, and the SHA-256 of its bytes."""

    name: str
    version: str
    arch: str
    url: str  #: as the template names the mirror, before any rewriting
    size: int  #: bytes
    sha256: str  #: 64 lower-case hex digits
    origin: str  #: the repository that vouches for it, e.g. `bookworm-security`
    layer: str = "base"  #: `base` or `packages`


@dataclass(frozen=True, kw_only=True)
class Lock:
    """All that a build resolved: the same lock gives the same tree."""

    system: str  #: e.g. `Debian`
    version: str  #: e.g. `12`
    arch: str  #: TDL's name, e.g. `x86_64`
    epoch: int  #: seconds since 1970: the newest index that it was resolved from
    packages: tuple[LockedPackage, ...]

    def layer(self, name: str) -> tuple[LockedPackage, ...]:
        """The packages of one layer, in the lock's order."""
        return tuple(package for package in self.packages if package.layer == name)

    def key(self, *, layers: Iterable[str] = ("base", "packages")) -> str:
        """A SHA-256 over everything that decides the content of these layers, mirrors aside."""
        wanted = frozenset(layers)
        content = [self.system, self.version, self.arch]
        content += sorted(package.sha256 for package in self.packages if package.layer in wanted)
        return hashlib.sha256("\n".join(content).encode()).hexdigest()

    def dumps(self) -> str:
        """The lock as readable, diffable JSON."""
        packages = [vars(package) for package in sorted(self.packages)]
        head = {key: value for key, value in vars(self).items() if key != "packages"}
        return json.dumps({"format": FORMAT, **head, "packages": packages}, indent=1) + "\n"

    @classmethod
    def loads(cls, text: str) -> Self:
        """The lock that `dumps` wrote; `RequestError` when it is something else."""
        try:
            content: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise _refused(f"it is not JSON: {error}") from error
        if not isinstance(content, dict):
            raise _refused("it is no object")
        try:
            if content.pop("format") != FORMAT:
                raise _refused("its format is another one")
            packages = tuple(LockedPackage(**package) for package in content.pop("packages"))
            return cls(**content, packages=packages)
        except KeyError as error:
            raise _refused(f'it has no "{error.args[0]}"') from error
        except (TypeError, AttributeError) as error:
            raise _refused(str(error)) from error


def _refused(why: str) -> RequestError:
    msg = f'The lock is not in the format "{FORMAT}": {why}'
    return RequestError(msg, hint='Write it with "imagefactory template lock"')
