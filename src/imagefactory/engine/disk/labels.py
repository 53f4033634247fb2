"""SELinux labels of a file system, as the guest's own policy wants them.

A user namespace may not write `security.selinux`, and a system that labels itself at its first boot starts
twice: the labels are written into the file system's image, where no kernel is asked.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Final

from imagefactory.core.errors import BuildError
from imagefactory.engine.disk.ext4 import Volume
from imagefactory.engine.files import write_atomically
from imagefactory.engine.tree import Tree

_ATTRIBUTE: Final = "security.selinux"
_NONE: Final = "<<none>>"
_KINDS: Final = {
    "f": "file", "d": "dir", "l": "lnk_file", "p": "pipe", "s": "sock_file", "c": "chr_file",
    "b": "blk_file",
}  # fmt: skip

# A system that has a policy and not the program labels itself, as Debian's does.
_POLICY: Final = """
command -v matchpathcon > /dev/null || exit 0
[ -e /etc/selinux/config ] || exit 0
. /etc/selinux/config
contexts=/etc/selinux/$SELINUXTYPE/contexts/files/file_contexts
[ "$SELINUX" = disabled ] || [ ! -e "$contexts" ] || echo "$contexts"
"""
#: what lies below these is mounted, and labelled by who mounts it
_LISTING: Final = (
    "find / -xdev -mindepth 1 \\( -path '/proc/*' -o -path '/sys/*' -o -path '/dev/*' -o -path '/run/*' "
    "-o -path '/tmp/*' \\) -prune -o -printf '%y\\t%p\\0'; printf 'd\\t/\\0d\\t/lost+found\\0'"
)
# matchpathcon(8) of a kind does not look at the file. Names come on standard input, with null bytes between.
_MATCH: Final = 'xargs -0 -r matchpathcon -n -f "$1" -m "$2"'
#: debugfs(8) tells of failures, and ends well
_WRITE: Final = (
    'out=$(debugfs -w -f labels "$1" 2>&1) || exit 1; printf %s "$out" | grep "^ea_set:" >&2 || :'
)


def policy_of(tree: Tree) -> str | None:
    """The guest's file of contexts; None where SELinux is not used."""
    return tree.run(["sh", "-c", _POLICY], quiet=True).strip() or None


def labels(tree: Tree) -> Mapping[str, str]:
    """Each path of the tree with its label; none where SELinux is not used."""
    policy = policy_of(tree)
    if policy is None:
        return {}
    found = dict(contexts(tree, policy))
    tree.build.tools.log(f'Labelling {len(found)} files as "{policy}" says')
    return found


def inside(found: Mapping[str, str], volume: Volume) -> Mapping[str, str]:
    """Those of one file system, by the paths in it. A folder where another is mounted is in it too."""
    own = volume.mount.rstrip("/")
    labels = {
        path.removeprefix(own) or "/": context
        for path, context in found.items()
        if (path == own or path.startswith(f"{own}/"))
        and not any(path.startswith(f"{place}/") for place in volume.apart)
    }
    if own and labels:
        labels.setdefault("/lost+found", found["/lost+found"])
    return labels


def label(tree: Tree, found: Mapping[str, str], *, offset: int, disk: Path, epoch: int) -> None:
    """Label the files of the file system at `offset` of a disk that the tree was written to.

    The disk's folder belongs to the inner root. `BuildError` when a name cannot be written down.
    """
    if not found:
        return
    folder = disk.parent
    values = {context: f"label-{n}" for n, context in enumerate(sorted(set(found.values())))}
    for context, name in values.items():
        write_atomically(folder / name, f"{context}\0")
    lines = [
        f"ea_set -f {values[context]} {quoted(path)} {_ATTRIBUTE}"
        for path, context in found.items()
    ]
    write_atomically(folder / "labels", "\n".join(lines) + "\n")
    env = {"E2FSPROGS_FAKE_TIME": str(epoch), "TZ": "UTC"}
    tree.sandbox.host(
        ["sh", "-c", _WRITE, "sh", f"{disk.name}?offset={offset}"], cwd=folder, env=env, quiet=True
    )


def contexts(tree: Tree, policy: str) -> Iterator[tuple[str, str]]:
    """Each path of the tree with its context, where the policy has one."""
    listing = tree.run(["sh", "-c", _LISTING], quiet=True)
    records = sorted(record.partition("\t") for record in listing.split("\0") if record)
    for kind, group in groupby(records, key=lambda record: record[0]):
        paths = [path for _, _, path in group]
        names = "".join(f"{path}\0" for path in paths).encode()
        words = ["sh", "-c", _MATCH, "sh", policy, _KINDS.get(kind, "file")]
        answers = tree.run(words, stdin=names, quiet=True).splitlines()
        if len(answers) != len(paths):
            msg = f'The policy "{policy}" gave {len(answers)} labels for {len(paths)} files'
            raise BuildError(msg)
        yield from _known(zip(paths, answers, strict=True))


def _known(pairs: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return ((path, context) for path, context in pairs if context != _NONE)


def quoted(path: str) -> str:
    """A path as debugfs reads it; `BuildError` for one that it cannot be told."""
    if "\n" in path:
        msg = f"The file {path!r} cannot be labelled: its name has a line break"
        raise BuildError(msg, hint="Rename it, or set SELINUX=disabled in /etc/selinux/config")
    return '"' + path.replace('"', '""') + '"'
