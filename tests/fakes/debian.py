"""A small Debian archive on a test's own web server, signed with a key of the test's own."""

import gzip
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import pytest

from fakes.web import Site

DATE = 1_700_000_000  #: seconds since 1970, of all archives made here


@dataclass(frozen=True, kw_only=True)
class Key:
    """A signing key, in a GnuPG home of its own."""

    home: Path
    keyring: Path  #: the public half

    def sign(self, text: str, *, how: str = "--clearsign") -> bytes:
        return self._gpg(how, "--armor", "--output", "-", stdin=text.encode())

    def _gpg(self, *words: str, stdin: bytes = b"") -> bytes:
        argv = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--yes", *words]
        return subprocess.run(argv, input=stdin, check=True, capture_output=True).stdout


@contextmanager
def a_key(folder: Path, name: str = "archive") -> Iterator[Key]:
    """A new key; its agent is gone when the block ends."""
    if shutil.which("gpg") is None:
        pytest.skip("gpg, which signs the tests' archives, is not installed")
    # Not in that folder: the name of the agent's socket may have no more than 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="gpg-"))
    key = Key(home=home, keyring=folder / f"{name}.gpg")
    address = f"{name}@example.org"
    try:
        key._gpg("--passphrase", "", "--quick-generate-key", address, "ed25519", "sign", "never")
        key.keyring.write_bytes(key._gpg("--export", address))
        yield key
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)
        shutil.rmtree(home, ignore_errors=True)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One package of an archive. Its file is no real package: only its digest counts."""

    name: str
    version: str = "1"
    fields: Mapping[str, str]

    @property
    def path(self) -> str:
        return f"pool/{self.name}_{self.version}_all.deb"

    @property
    def content(self) -> bytes:
        return f"the file of {self.name} {self.version}".encode()

    @property
    def stanza(self) -> str:
        fields = {
            "Package": self.name,
            "Version": self.version,
            "Architecture": "all",
            "Maintainer": "Nobody <nobody@example.org>",
            **self.fields,
            "Filename": self.path,
            "Size": str(len(self.content)),
            "SHA256": hashlib.sha256(self.content).hexdigest(),
            "Description": f"test package {self.name}",
        }
        return "".join(f"{key}: {value}\n" for key, value in fields.items()) + "\n"


def entry(name: str, version: str = "1", **fields: str) -> Entry:
    """An entry whose fields are given like `Pre_Depends="x"`."""
    return Entry(
        name=name,
        version=version,
        fields={key.replace("_", "-"): value for key, value in fields.items()},
    )


def publish(
    site: Site,
    entries: Sequence[Entry],
    *,
    suite: str,
    at: str = "/debian",
    key: Key | None = None,
    date: int = DATE,
    **fields: str,
) -> None:
    """Put a suite with these packages onto a site; without a key it is not signed."""
    index = "".join(one.stanza for one in entries).encode()
    packed = gzip.compress(index, mtime=0)
    folder = f"{at}/dists/{suite}"
    paths = {"main/binary-amd64/Packages": index, "main/binary-amd64/Packages.gz": packed}
    release = _release(suite, paths, date=date, fields=fields)
    site.files.update({f"{folder}/{path}": content for path, content in paths.items()})
    site.files.update({f"{at}/{one.path}": one.content for one in entries})
    for name in ("InRelease", "Release", "Release.gpg"):
        site.files.pop(f"{folder}/{name}", None)
    if key is None:
        site.files[f"{folder}/Release"] = release.encode()
    else:
        site.files[f"{folder}/InRelease"] = key.sign(release)


def publish_flat(site: Site, entries: Sequence[Entry], *, at: str) -> None:
    """Put packages and nothing but their index into one folder, as small archives do."""
    site.files[f"{at}/Packages"] = "".join(one.stanza for one in entries).encode()
    site.files.update({f"{at}/{one.path}": one.content for one in entries})


def _release(
    suite: str, paths: Mapping[str, bytes], *, date: int, fields: Mapping[str, str]
) -> str:
    head = {
        "Origin": "Test",
        "Suite": suite,
        "Codename": suite,
        "Date": formatdate(date, usegmt=True),
        "Architectures": "amd64",
        "Components": "main",
        **{key.replace("_", "-"): value for key, value in fields.items()},
    }
    sums = "".join(
        f" {hashlib.sha256(content).hexdigest()} {len(content)} {path}\n"
        for path, content in paths.items()
    )
    return "".join(f"{key}: {value}\n" for key, value in head.items()) + f"SHA256:\n{sums}"
