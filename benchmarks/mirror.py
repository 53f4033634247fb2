"""A mirror on loopback that keeps what it was asked for, so that all who are compared read the same packages."""

import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

from imagefactory.core.errors import BuildError
from imagefactory.engine.packages.apt_sources import machine_mirrors

_LIMIT: Final = 4 << 30  #: bytes of packages that are kept
_FRESH: Final = 43_200  #: seconds for which the indexes of an archive stay as they are
_PIECE: Final = 1 << 18


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """Where it listens, and which archive of a template's lies at which of its addresses."""

    port: int
    mirrors: Mapping[str, str]

    def url(self, archive: str) -> str:
        """The address of `debian` or `debian-security`."""
        return f"http://127.0.0.1:{self.port}/{archive}"


@contextmanager
def mirror(folder: Path) -> Iterator[Mirror]:
    """Serve this machine's own mirrors of Debian out of a folder, which is filled by the way."""
    upstream = {url.rpartition("/")[2]: real for url, real in machine_mirrors().items()}
    if not upstream:
        msg = "This machine's apt knows no mirror of Debian"
        raise BuildError(msg, hint='Name one in "/etc/apt/sources.list"')
    _tidy(folder)

    class Kept(_Request):
        archives = upstream
        root = folder

    with ThreadingHTTPServer(("127.0.0.1", 0), Kept) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            port = server.server_address[1]
            served = {
                url: f"http://127.0.0.1:{port}/{url.rpartition('/')[2]}"
                for url in machine_mirrors()
            }
            yield Mirror(port=port, mirrors=served)
        finally:
            server.shutdown()
            thread.join()


def _tidy(folder: Path) -> None:
    """Forget indexes of another day, and the packages that nobody has wanted for longest."""
    for indexes in folder.glob("*/dists/*"):
        if indexes.stat().st_ctime < time.time() - _FRESH:
            shutil.rmtree(indexes)
    kept = 0
    packages = (path for path in folder.glob("*/pool/**/*") if path.is_file())
    for path in sorted(packages, key=lambda path: path.stat().st_atime, reverse=True):
        kept += path.stat().st_size
        if kept > _LIMIT:
            path.unlink()


class _Request(BaseHTTPRequestHandler):
    archives: Mapping[str, str]
    root: Path
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        words = [word for word in unquote(urlsplit(self.path).path).split("/") if word]
        if (
            not words
            or words[0] not in self.archives
            or any(word.startswith(".") for word in words)
        ):
            self.send_error(404)
            return
        path = self.root.joinpath(*words)
        try:
            if not path.is_file():
                _fetch("/".join([self.archives[words[0]], *words[1:]]), path)
        except HTTPError as error:
            self.send_error(error.code)
            error.close()
            return
        except URLError as error:
            self.send_error(502, str(error.reason))
            return
        if "pool" in words:
            os.utime(path, (time.time(), path.stat().st_mtime))
        self._serve(path)

    def _serve(self, path: Path) -> None:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            since = self.headers.get("If-Modified-Since")
            known = since is not None and (
                parsedate_to_datetime(since).timestamp() >= int(facts.st_mtime)
            )
            self.send_response(304 if known else 200)
            self.send_header("Last-Modified", formatdate(facts.st_mtime, usegmt=True))
            self.send_header("Content-Length", "0" if known else str(facts.st_size))
            self.end_headers()
            if not known:
                shutil.copyfileobj(file, self.wfile, _PIECE)

    def log_message(self, *_words: Any) -> None:
        pass


def _fetch(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        urlopen(url, timeout=60) as answer,
        NamedTemporaryFile(dir=path.parent, delete=False) as file,
    ):
        unfinished = Path(file.name)
        try:
            shutil.copyfileobj(answer, file, _PIECE)
            length = answer.headers["Content-Length"]
            if length is not None and file.tell() != int(length):
                reason = f'"{url}" was cut off'
                raise URLError(reason)
            file.flush()
            if changed := answer.headers["Last-Modified"]:
                moment = parsedate_to_datetime(changed).timestamp()
                os.utime(unfinished, (moment, moment))
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
