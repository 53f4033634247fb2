"""Takes the inventory of a tree: every file with its digest, and the arguments of its kernel."""

import gzip
from typing import Final

from imagefactory.core.inventory import Entry, Inventory
from imagefactory.engine.files import write_atomically
from imagefactory.engine.plan import Build
from imagefactory.engine.tree import Tree

NAME: Final = "inventory.json.gz"

_TREE: Final = "find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp \\) -prune -o"
#: A record ends with a null byte, since a name may hold all else; a link's target is a record too.
_LISTING: Final = _TREE + r" -printf '%y\t%m\t%U:%G\t%s\t%p\0%l\0'"
_DIGESTS: Final = _TREE + " -type f -print0 | xargs -0 -r sha256sum -z --"
#: as grub-mkconfig(8) reads them
_ARGUMENTS: Final = """
for file in /etc/default/grub /etc/default/grub.d/*.cfg; do [ -e "$file" ] && . "$file"; done
printf '%s %s' "$GRUB_CMDLINE_LINUX" "$GRUB_CMDLINE_LINUX_DEFAULT"
"""


def write_inventory(build: Build) -> None:
    """Write the inventory of the build's tree into its artifacts, as `inventory.json.gz`."""
    tree = Tree.load(build)
    arguments = tree.run(["sh", "-c", _ARGUMENTS], quiet=True).split()
    listing, digests = (
        tree.run(["sh", "-c", script], quiet=True) for script in (_LISTING, _DIGESTS)
    )
    files = read_files(listing, digests)
    text = Inventory(kernel_arguments=tuple(arguments), files=files).dumps()
    # Without the time in its head the same tree gives the same bytes.
    write_atomically(build.artifacts / NAME, gzip.compress(text.encode(), 6, mtime=0))


def read_files(listing: str, digests: str) -> dict[str, Entry]:
    """The files in the outputs of find(1) and sha256sum(1)."""
    sums = {path: digest for digest, _, path in map(_sum, filter(None, digests.split("\0")))}
    records = listing.split("\0")
    return dict(
        _entry(facts, link, sums) for facts, link in zip(records[::2], records[1::2], strict=False)
    )


def _sum(record: str) -> tuple[str, str, str]:
    return record.partition("  ")


def _entry(facts: str, link: str, sums: dict[str, str]) -> tuple[str, Entry]:
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
