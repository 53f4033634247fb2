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

_TREE: Final = "find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp \\) -prune -o"
#: A record ends with a null byte, since a name may hold all else; a link's target is a record too.
_LISTING: Final = _TREE + r" -printf '%y\t%m\t%U:%G\t%s\t%p\0%l\0'"
_DIGESTS: Final = _TREE + " -type f -print0 | xargs -0 -r {algorithm}sum -z --"
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
    script = _DIGESTS.format(algorithm=algorithm)
    return read_sums(tree.run(["sh", "-c", script], quiet=True))


def read_sums(output: str) -> Mapping[str, str]:
    """The digests in the output of sha256sum(1) and the like."""
    return {path: digest for digest, _, path in map(_sum, filter(None, output.split("\0")))}


def read_files(listing: str, sums: Mapping[str, str]) -> dict[str, Entry]:
    """The files in the output of find(1), with their digests."""
    records = listing.split("\0")
    return dict(
        _entry(facts, link, sums) for facts, link in zip(records[::2], records[1::2], strict=False)
    )


def _sum(record: str) -> tuple[str, str, str]:
    return record.partition("  ")


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
