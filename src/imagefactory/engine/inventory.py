"""Takes the inventory of a tree: every file with its digest, and the arguments of its kernel."""

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from imagefactory.core.bill import Digests
from imagefactory.core.inventory import Entry, Inventory
from imagefactory.engine.files import write_atomically
from imagefactory.engine.layers import Layers
from imagefactory.engine.plan import Build
from imagefactory.engine.threads import Stop, side_by_side
from imagefactory.engine.tree import Tree

NAME: Final = "inventory.json.gz"
_SUMS: Final = (
    "sums.json.gz"  #: beside the tree of a shared layer; gzip's checksum tells a damaged one
)

#: SHA-1 and SHA-256 of each file, by its path
Sums = Mapping[str, Sequence[str]]

#: What the sandbox itself brings into a tree.
_LEFT_OUT: Final = ("proc", "sys", "dev", "run", "tmp")
_FIND: Final = "find / -xdev \\( {} \\) -prune -o".format(
    " -o ".join(f"-path /{name}" for name in _LEFT_OUT)
)
#: A record ends with a null byte, since a name may hold all else; a link's target is a record too.
_LISTING: Final = _FIND + r" -printf '%y\t%m\t%U:%G\t%s\t%p\0%l\0'"
#: By the host's OpenSSL, which knows the processor's own instructions.
_DIGESTS: Final = """
find tree -xdev \\( {} \\) -prune -o -type f -print0 | xargs -0 -r openssl dgst "-$1" -r
""".format(" -o ".join(f"-path tree/{name}" for name in _LEFT_OUT))
#: as grub-mkconfig(8) reads them
_ARGUMENTS: Final = """
for file in /etc/default/grub /etc/default/grub.d/*.cfg; do [ -e "$file" ] && . "$file"; done
printf '%s %s' "$GRUB_CMDLINE_LINUX" "$GRUB_CMDLINE_LINUX_DEFAULT"
"""


def write_inventory(build: Build) -> Mapping[str, Digests]:
    """Write the inventory of the build's tree into its artifacts, as `inventory.json.gz`.

    Both digests of every file are returned by its path.
    """
    tree = Tree.load(build)
    arguments = tree.run(["sh", "-c", _ARGUMENTS], quiet=True).split()
    listing = tree.run(["sh", "-c", _LISTING], quiet=True)
    sums: dict[str, Sequence[str]] = {}
    for layer in tree.layers:
        sums |= _sums(tree, layer)
    files = read_files(listing, {path: sha256 for path, (_, sha256) in sums.items()})
    inventory = Inventory(kernel_arguments=tuple(arguments), files=files)
    # Without the time in its head the same tree gives the same bytes.
    write_atomically(build.artifacts / NAME, gzip.compress(inventory.dumps().encode(), 6, mtime=0))
    regular = (path for path, entry in files.items() if entry.type == "f" and path in sums)
    return {path: Digests(sha1=sums[path][0], sha256=sums[path][1]) for path in regular}


def _sums(tree: Tree, layer: Path) -> Sums:
    """The digests of a layer's own files: those of a shared one are taken once, and kept beside it."""
    sealed = Layers(build=tree.build).sealed_at(layer)
    if sealed is None:
        return _measured(tree, layer)
    kept = layer.parent / _SUMS
    with suppress(OSError, EOFError, ValueError, zlib.error):
        of, found = json.loads(gzip.decompress(kept.read_bytes()))
        if of == sealed.digest:
            sums: Sums = found
            return sums
    sums = _measured(tree, layer)
    data = json.dumps((sealed.digest, sums), sort_keys=True).encode()
    write_atomically(kept, gzip.compress(data, 1))
    return sums


def _measured(tree: Tree, layer: Path) -> Sums:
    # Both at once: who reads a file second finds it in memory.
    jobs = [partial(_digests, tree, layer, algorithm) for algorithm in ("sha1", "sha256")]
    sha1, sha256 = side_by_side(jobs, cancellation=tree.build.tools.cancellation, threads=2)
    return {path: (sha1[path], sha256[path]) for path in sha1.keys() & sha256.keys()}


def _digests(tree: Tree, layer: Path, algorithm: str, _stop: Stop) -> Mapping[str, str]:
    work = tree.build.scratch / f"inventory-{algorithm}"
    tree.sandbox.remove(work)
    tree.sandbox.own(work)
    try:
        argv = ["sh", "-euc", _DIGESTS, "sh", algorithm]
        return read_sums(tree.sandbox.host(argv, cwd=work, layers=(layer,), quiet=True))
    finally:
        tree.sandbox.remove(work)


def read_sums(output: str) -> Mapping[str, str]:
    """The digests in the output of `openssl dgst -r` for a system in the folder `tree`."""
    return dict(_sum(line) for line in output.split("\n") if line)


def read_files(listing: str, sums: Mapping[str, str]) -> dict[str, Entry]:
    """The files in the output of find(1), with their digests."""
    records = listing.split("\0")
    return dict(
        _entry(facts, link, sums) for facts, link in zip(records[::2], records[1::2], strict=False)
    )


def _sum(line: str) -> tuple[str, str]:
    """Path and digest; a line that begins with a backslash has a name of several lines."""
    digest, _, name = line.partition(" *tree")
    if digest.startswith("\\"):
        digest, name = digest[1:], name.replace("\\n", "\n")
    return name, digest


def _entry(facts: str, link: str, sums: Mapping[str, str]) -> tuple[str, Entry]:
    kind, mode, owner, size, path = facts.split("\t", 4)
    entry = Entry(
        type=kind,
        mode=mode,
        owner=owner,
        size=int(size) if kind in {"f", "l"} else 0,
        # a layer above may have put something else where one below has a file
        sha256=sums.get(path) if kind == "f" else None,
        link=link or None,
    )
    return path, entry
