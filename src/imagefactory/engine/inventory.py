"""Takes the inventory of a tree: every file with its digest, and the arguments of its kernel."""

import gzip
from collections.abc import Mapping
from functools import partial
from typing import Final

from imagefactory.core.bill import Digests
from imagefactory.core.inventory import Entry, Inventory
from imagefactory.engine.files import write_atomically
from imagefactory.engine.plan import Build
from imagefactory.engine.threads import Stop, side_by_side
from imagefactory.engine.tree import Tree

NAME: Final = "inventory.json.gz"

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

    Both digests of every file are returned by its path; reading them side by side takes no longer than one.
    """
    tree = Tree.load(build)
    arguments = tree.run(["sh", "-c", _ARGUMENTS], quiet=True).split()
    listing = tree.run(["sh", "-c", _LISTING], quiet=True)
    jobs = [partial(_digests, tree, algorithm) for algorithm in ("sha1", "sha256")]
    sha1, sha256 = side_by_side(jobs, cancellation=build.tools.cancellation, threads=2)
    files = read_files(listing, sha256)
    inventory = Inventory(kernel_arguments=tuple(arguments), files=files)
    # Without the time in its head the same tree gives the same bytes.
    write_atomically(build.artifacts / NAME, gzip.compress(inventory.dumps().encode(), 6, mtime=0))
    both = sha1.keys() & sha256.keys()
    return {path: Digests(sha1=sha1[path], sha256=sha256[path]) for path in both}


def _digests(tree: Tree, algorithm: str, _stop: Stop) -> Mapping[str, str]:
    work = tree.build.scratch / f"inventory-{algorithm}"
    tree.sandbox.remove(work)
    tree.sandbox.own(work)
    try:
        argv = ["sh", "-euc", _DIGESTS, "sh", algorithm]
        return read_sums(tree.sandbox.host(argv, cwd=work, layers=tree.layers, quiet=True))
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
        sha256=sums.get(path),
        link=link or None,
    )
    return path, entry
