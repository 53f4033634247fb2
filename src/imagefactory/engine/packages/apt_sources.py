"""Package sources of the Debian family: what a template, a system or a machine's `/etc/apt` names."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit, urlunsplit

from imagefactory.core.errors import TemplateError
from imagefactory.core.template import Repository
from imagefactory.engine.discs import is_on_disc
from imagefactory.engine.packages.deb822 import stanzas

#: TDL's architectures -> dpkg's
ARCHITECTURES: Final[Mapping[str, str]] = {
    "i386": "i386",
    "x86_64": "amd64",
    "ppc64": "ppc64",
    "ppc64le": "ppc64el",
    "aarch64": "arm64",
    "armv7l": "armhf",
    "s390x": "s390x",
}

#: How apt tells a text (armoured) keyring from a binary one.
SUFFIXES: Final = (".asc", ".gpg")

_DISC: Final = "# This system was installed from a disc image: no archive is known to it.\n"

_LINE: Final = re.compile(
    r"deb[ \t]+(?:\[(?P<options>[^\]\n]*)\][ \t]+)?"
    r"(?P<url>\S+)[ \t]+(?P<suite>\S+)(?P<components>(?:[ \t]+\S+)*)"
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """One suite of one archive, as the template names it (sources.list(5)).

    The suite ends in a slash, and there are no components, where the index lies beside the packages.
    """

    name: str  #: what the lock calls the origin of its packages
    url: str  #: without a slash at the end; before any rewriting
    suite: str
    components: tuple[str, ...] = ()
    keyring: str | None = None  #: of the host; None: packages are taken without a signature
    optional: bool = False  #: left out when the archive has no such suite
    expires: bool = True  #: whether its metadata's own date of expiry counts

    @property
    def release(self) -> str:
        """The URL of the folder that holds `InRelease`."""
        if self.suite.endswith("/"):
            return f"{self.url}/{self.suite}".rstrip("/").removesuffix("/.")
        return f"{self.url}/dists/{self.suite}"

    def line(self, *, url: str, options: Mapping[str, str]) -> str:
        """The source as a line of sources.list."""
        words = " ".join(f"{key}={value}" for key, value in options.items())
        bracket = f"[{words}] " if words else ""
        return " ".join([f"deb {bracket}{url}", self.suite, *self.components])


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One suite of a distribution's archive."""

    name: str  #: e.g. `bookworm-updates`
    sibling: str | None = (
        None  #: the folder beside the archive's that it lies in: `debian-security`
    )
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Archive:
    """Where a distribution comes from: its suites below one URL, and who signs them."""

    url: str  #: as the template names it
    suites: tuple[Suite, ...]
    keyring: (
        str | None
    )  #: file of the host that the factory verifies with; None: a checksum vouches
    guest_keyring: str  #: file of the guest that its apt verifies with
    components: tuple[str, ...] = ("main",)

    @property
    def sources(self) -> tuple[Source, ...]:
        """One source for each suite."""
        return tuple(
            Source(
                name=suite.name,
                url=self.place(suite),
                suite=suite.name,
                components=self.components,
                keyring=self.keyring,
                optional=suite.optional,
            )
            for suite in self.suites
        )

    def only(self, names: Collection[str] | None) -> "Archive":
        """The archive without the suites that it was found not to have; None: nobody has looked."""
        if names is None:
            return self
        return replace(self, suites=tuple(suite for suite in self.suites if suite.name in names))

    def place(self, suite: Suite) -> str:
        """The URL below which a suite's `dists` lies."""
        url = self.url.rstrip("/")
        if suite.sibling is None or is_on_disc(url):
            return url
        parts = urlsplit(url)
        folder = parts.path.rpartition("/")[0]
        return urlunsplit((parts.scheme, parts.netloc, f"{folder}/{suite.sibling}", "", ""))

    def stanzas(self) -> str:
        """The archive as the guest's `/etc/apt/sources.list.d/*.sources` (deb822 style)."""
        if is_on_disc(self.url):
            return _DISC
        return "\n".join(self._stanza(url) for url in dict.fromkeys(map(self.place, self.suites)))

    def _stanza(self, url: str) -> str:
        suites = [suite.name for suite in self.suites if self.place(suite) == url]
        return (
            f"Types: deb\nURIs: {url}\nSuites: {' '.join(suites)}\n"
            f"Components: {' '.join(self.components)}\nSigned-By: {self.guest_keyring}\n"
        )


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of sources.list, taken apart."""

    options: Mapping[str, str]
    url: str
    suite: str
    components: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The line, or None when it is no source of binary packages."""
        match = _LINE.fullmatch(text.partition("#")[0].strip())
        if match is None:
            return None
        options = dict(
            word.split("=", 1) for word in (match["options"] or "").split() if "=" in word
        )
        components = tuple(match["components"].split())
        suite = "./" if match["suite"] == "/" else match["suite"]
        if suite.endswith("/") == bool(components):
            return None
        url = match["url"].rstrip("/")
        return cls(options=options, url=url, suite=suite, components=components)

    @property
    def plain(self) -> bool:
        """Whether the archive is on the web, and the names in it lead nowhere else."""
        words = (self.suite, *self.components)
        return self.url.startswith(("http://", "https://")) and all(map(_plain, words))


def keyring_suffix(content: bytes) -> str:
    """The end of the name that a keyring's file must have for apt to read it."""
    text, binary = SUFFIXES
    return text if content.startswith(b"-----BEGIN") else binary


def _plain(word: str) -> bool:
    return re.fullmatch(r"\.?[\w/+~.:-]*", word) is not None and not (
        word.startswith("/") or ".." in word.split("/")
    )


def repository_line(repository: Repository) -> Line:
    """The line that a template's repository is; `TemplateError` when it is none."""
    line = Line.parse(repository.url)
    if line is None or not line.plain:
        msg = (
            f'The repository "{repository.name}" has "{repository.url}" as its URL, '
            "which is not a line of sources.list"
        )
        hint = 'Write it like "deb http://mirror.example.org/debian bookworm main"'
        raise TemplateError(msg, hint=hint)
    return line


def machine_mirrors(
    *,
    apt: Path = Path("/etc/apt"),
    url: str = "http://mirror.example.org/debian",
    sibling: str = "debian-security",
) -> dict[str, str]:
    """The table that lets this machine's own mirrors stand in for a template's; empty if it has none.

    Read from a Debian machine's own sources, in both formats that sources.list(5) describes.
    """
    found: dict[str, str] = {}
    for line in _machine_lines(apt):
        if re.fullmatch(r"[a-z]+-security|[a-z]+/updates", line.suite):
            found.setdefault("security", line.url)
        elif line.url.rpartition("/")[2].startswith("debian") and line.components:
            found.setdefault("main", line.url)
    if "main" not in found:
        return {}
    beside = found.get("security") or f"{found['main'].rpartition('/')[0]}/{sibling}"
    return {url: found["main"], f"{url.rpartition('/')[0]}/{sibling}": beside}


def _machine_lines(apt: Path) -> Iterator[Line]:
    for path in (apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))):
        text = path.read_text() if path.exists() else ""
        yield from filter(None, map(Line.parse, text.splitlines()))
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        for stanza in stanzas(path.read_text()):
            yield from _stanza_lines({key.lower(): value for key, value in stanza.items()})


def _stanza_lines(stanza: Mapping[str, str]) -> Iterator[Line]:
    enabled = stanza.get("enabled", "yes").lower() not in {"no", "false", "0", "off", "disable"}
    if not enabled or "deb" not in stanza.get("types", "").split():
        return
    for url in stanza.get("uris", "").split():
        for suite in stanza.get("suites", "").split():
            words = " ".join(["deb", url, suite, *stanza.get("components", "").split()])
            if line := Line.parse(words):
                yield line
