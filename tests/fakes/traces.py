"""Looks for words in all that a factory has written, and in what other programs can see of it."""

import base64
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

_CHUNK: Final = 1 << 20


def forms(word: str) -> set[bytes]:
    """A word as it may be written: as it is, escaped, in base64 at any place of a text, in hex."""
    raw = word.encode()
    packed = [base64.b64encode(b"x" * shift + raw)[4:-4] for shift in range(3)]
    return {raw, quote(word, safe="").encode(), raw.hex().encode(), *packed}


def in_bytes(content: bytes, words: Mapping[str, str]) -> list[str]:
    """The names of the words that a content holds in any form."""
    return [name for name, word in words.items() if any(form in content for form in forms(word))]


def in_files(folder: Path, words: Mapping[str, str]) -> list[str]:
    """`file: name` for each word in a file of this folder, or in a file's name."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if not path.is_symlink()):
        names = set(in_bytes(os.fsencode(path.name), words))
        if path.is_file():
            names |= {name for piece in _pieces(path) for name in in_bytes(piece, words)}
        found += [f"{path}: {name}" for name in sorted(names)]
    return found


@contextmanager
def in_processes(words: Mapping[str, str]) -> Iterator[set[str]]:
    """What is seen of these words in other processes' arguments and environments while the block runs."""
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.03):
            for process in Path("/proc").glob("[0-9]*"):
                if process.name != str(os.getpid()):
                    for told in ("cmdline", "environ"):
                        seen.update(in_bytes(_read(process / told), words))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it has just gone


def _pieces(path: Path) -> Iterator[bytes]:
    """The data of a file, without its holes, in pieces that overlap by more than a word."""
    with path.open("rb") as file:
        size, position, tail = os.fstat(file.fileno()).st_size, 0, b""
        while position < size:
            try:
                start = os.lseek(file.fileno(), position, os.SEEK_DATA)
            except OSError:
                return  # nothing but a hole is left
            tail = tail if start == position else b""
            file.seek(start)
            content = file.read(_CHUNK)
            yield tail + content
            position, tail = start + len(content), content[-256:]
