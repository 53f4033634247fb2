"""Makes a tree of package files that are unpacked side by side and set up by two runs of their dpkg."""

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagefactory.core.errors import CommandFailed
from imagefactory.engine.packages import dpkg_database as dpkg
from imagefactory.engine.packages.apt_guest import QUIETLY, Guest, explained
from imagefactory.engine.packages.deb import ControlFile
from imagefactory.engine.packages.deb822 import Stanza
from imagefactory.engine.packages.dependencies import closure, relation_names
from imagefactory.engine.packages.dpkg_database import Unpacked
from imagefactory.engine.packages.package_files import PLACE

#: The packages that own the folders of the root, with their modes, and the users of all files.
_FIRST: Final = ("base-files", "base-passwd")

#: Of the merged /usr, which `dpkg-deb -x` would replace by folders.
_LINKS: Final = """
for name in bin sbin lib lib64; do mkdir -p "usr/$name"; ln -s "usr/$name" "$name"; done
mkdir -p var/lib/dpkg/info var/lib/dpkg/updates var/lib/dpkg/triggers
"""

#: On standard input, for each package: its file, its name, and what tar is to rename. Tar lists what it
#: unpacks under its own name. With `--no-overwrite-dir` it would set a folder's mode aside and restore what
#: it has found, which may be another tar's stopgap; without, each ends with the mode that packages have.
_UNPACK: Final = """
mkdir -p work/lists
xargs -r -d '\\n' -P "$1" -n 3 sh -euc '
    dpkg-deb --fsys-tarfile "$1" | tar --extract --verbose --directory=tree --numeric-owner \\
        --same-permissions --keep-directory-symlink --quoting-style=literal \\
        --transform="$3" > "work/lists/$2"
' sh
"""

_DIGESTS: Final = "xargs -r -d '\\n' md5sum --"
_STORE: Final = (
    "tar --extract --directory=tree --numeric-owner --same-permissions --no-overwrite-dir"
)

#: In the form in which dpkg complains.
_PREINST: Final = f"""{QUIETLY}
export DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1
export DPKG_ROOT= DPKG_ADMINDIR={dpkg.FOLDER}
export DPKG_RUNNING_VERSION="$(dpkg-query --show --showformat '${{Version}}' dpkg)"
while read -r name arch stem <&3; do
    status=0
    DPKG_MAINTSCRIPT_PACKAGE="$name" DPKG_MAINTSCRIPT_ARCH="$arch" \\
        {dpkg.FOLDER}/info/"$stem".preinst install 3<&- || status=$?
    if [ "$status" != 0 ]; then
        echo "dpkg: error processing package $name (--install):" >&2
        echo " its preinst script failed with exit status $status" >&2
        exit 1
    fi
done 3< {PLACE}/preinst
"""

#: What somebody wants to be otherwise than the packages have it (dpkg-statoverride(1)).
_OVERRIDE: Final = f"""
[ ! -e {dpkg.FOLDER}/statoverride ] || while read -r user group mode path; do
    if [ -e "$path" ]; then chown "$user:$group" "$path"; chmod "$mode" "$path"; fi
done < {dpkg.FOLDER}/statoverride
"""

_CONFIGURE_FIRST: Final = f"""{QUIETLY}
dpkg --force-unsafe-io --force-depends --force-confold --configure {" ".join(_FIRST)}
dpkg --force-unsafe-io --force-confold --configure --pending
"""

_CONFIGURE: Final = f"""{QUIETLY}
xargs -r -a {PLACE}/unpack dpkg --force-unsafe-io --force-depends --force-confold --unpack
dpkg --force-unsafe-io --force-confold --configure --pending
"""


@dataclass(frozen=True, kw_only=True)
class ParallelInstall:
    """Installs packages into an empty tree, and honours what dpkg's own order promises them.

    First come the essential packages with apt, then all that others need before they are unpacked
    (`Pre-Depends`): nobody can run a script before these are there. Of each lot after the first the preinst
    scripts run, with those before it set up; then it is unpacked, and dpkg sets up all that is pending and
    runs the triggers. A package with something in it that only dpkg knows is unpacked by dpkg.
    """

    guest: Guest
    tree: Path  #: empty; its parent folder is the inner root's too

    def unpack(self) -> None:
        """Unpack all of the guest's package files, and set up those that others need for it.

        `PackageError` names one that fails.
        """
        packages = [Unpacked.of(files) for files in self.guest.files.controls.values()]
        first, *others = stages(packages)
        self._install_first(first)
        early, rest = others
        self._unpack_lot(early, before=first)
        self._set_up(early)
        self._unpack_lot(rest, before=[*first, *early])

    def finish(self) -> None:
        """Set up what `unpack` has left, in a layer on its own or in the same."""
        packages = [Unpacked.of(files) for files in self.guest.files.controls.values()]
        *_, rest = stages(packages)
        self._set_up(rest)

    def _install_first(self, first: Sequence[Unpacked]) -> None:
        self._host(_LINKS, cwd=self.tree)
        database = {"diversions": "", "statoverride": "", "status": ""}
        self._store({f"{dpkg.FOLDER}/{name}": text for name, text in database.items()})
        self._store_info(first)
        foundation = [package for package in first if package.name == _FIRST[0]]
        paths = self._unpack(foundation)
        paths |= self._unpack([package for package in first if package not in foundation])
        self._note(first, (), paths)
        self._run_preinst(in_order(first))
        self.guest.run(_CONFIGURE_FIRST)

    def _unpack_lot(self, lot: Sequence[Unpacked], *, before: Sequence[Unpacked]) -> None:
        ours = [package for package in lot if package.plain]
        self._store_info(ours)
        self._run_preinst(in_order(ours))
        self._note(ours, before, self._unpack(ours))
        self.guest.run(_OVERRIDE)

    def _set_up(self, lot: Sequence[Unpacked]) -> None:
        theirs = [package for package in lot if not package.plain]
        for package in theirs:
            self.guest.build.tools.log(f'The package "{package.name}" is unpacked by dpkg itself')
        files = self.guest.files
        self.guest.hand_in("unpack", [files.path(files.stanza(one.name)) for one in theirs])
        self.guest.run(_CONFIGURE)

    def _unpack(self, packages: Sequence[Unpacked]) -> set[str]:
        """Unpack packages, and keep the lists of their paths in dpkg's database; all paths."""
        moved = dpkg.diverted(self._read("diversions"))
        files = self.guest.files
        folder = os.path.relpath(files.folder, self.tree.parent)
        wanted = [(files.stanza(package.name), package) for package in packages]
        wanted.sort(key=lambda pair: int(pair[0]["Size"]), reverse=True)
        lines = "".join(
            f"{folder}/{stanza['Filename']}\n{package.name}\n{renaming(package, moved)}\n"
            for stanza, package in wanted
        )
        self._host(_UNPACK, cwd=self.tree.parent, stdin=lines.encode(), words=[_processes()])
        lists = self.guest.change.work / "lists"
        found = {
            f"{dpkg.FOLDER}/info/{package.stem}.list": dpkg.listing(
                (lists / package.name).read_text(errors="surrogateescape")
            )
            for package in packages
        }
        self._store(found)
        return {path for text in found.values() for path in text.splitlines()}

    def _store_info(self, packages: Sequence[Unpacked]) -> None:
        """Give dpkg's database the control files, with the modes that they have in the packages."""
        self._extract(
            {
                f"{dpkg.FOLDER}/info/{package.stem}.{name}": file
                for package in packages
                for name, file in package.files.items()
                if name != "control"
            }
        )

    def _note(
        self, packages: Sequence[Unpacked], before: Sequence[Unpacked], paths: Collection[str]
    ) -> None:
        """Tell dpkg's database that packages are unpacked, after others that are set up."""
        conffiles = [path for package in packages for path in package.conffiles]
        digests = self._digests(conffiles)
        stanzas = "".join(dpkg.status(package, digests) for package in packages)
        triggers = dict(dpkg.interests([*before, *packages]))
        triggers["Unincorp"] = dpkg.pulled(before, paths)
        files = {f"{dpkg.FOLDER}/triggers/{name}": text for name, text in triggers.items()}
        self._store({**files, f"{dpkg.FOLDER}/status": self._read("status") + stanzas})

    def _digests(self, paths: Iterable[str]) -> Mapping[str, str]:
        wanted = "".join(f"tree{path}\n" for path in paths)
        shown = self._host(_DIGESTS, cwd=self.tree.parent, stdin=wanted.encode())
        pairs = (line.split("  ", 1) for line in shown.splitlines())
        return {path.removeprefix("tree"): digest for digest, path in pairs}

    def _run_preinst(self, packages: Sequence[Unpacked]) -> None:
        lines = [
            f"{one.name} {one.stanza['Architecture']} {one.stem}"
            for one in packages
            if "preinst" in one.files
        ]
        self.guest.hand_in("preinst", lines)
        self.guest.run(_PREINST)

    def _read(self, name: str) -> str:
        return self._host(f"cat tree{dpkg.FOLDER}/{name}", cwd=self.tree.parent)

    def _store(self, files: Mapping[str, str]) -> None:
        self._extract(
            {
                path: ControlFile(
                    data=text.encode(errors="surrogateescape"),
                    mode=0o644,
                    time=self.guest.files.built,
                )
                for path, text in files.items()
            }
        )

    def _extract(self, files: Mapping[str, ControlFile]) -> None:
        self._host(_STORE, cwd=self.tree.parent, stdin=dpkg.archive(files))

    def _host(
        self, script: str, *, cwd: Path, stdin: bytes = b"", words: Sequence[str] = ()
    ) -> str:
        argv = ["sh", "-euc", script, "sh", *words]
        try:
            return self.guest.change.sandbox.host(argv, cwd=cwd, stdin=stdin, quiet=True)
        except CommandFailed as error:
            raise explained(error) from error


def stages(packages: Sequence[Unpacked]) -> list[list[Unpacked]]:
    """The packages that every system has, those that must be set up before others are unpacked, all others.

    The first are set up before systemd is there, as wherever else a system begins: scripts look for it.
    """
    stanzas: list[Stanza] = [package.stanza for package in packages]
    roots = [one["Package"] for one in stanzas if one.get("Essential") == "yes"] + ["apt"]
    early = [name for one in stanzas for name in relation_names(one.get("Pre-Depends", ""))]
    needed = {stanza["Package"] for stanza in closure(stanzas, roots)}
    sooner = {stanza["Package"] for stanza in closure(stanzas, [*roots, *early])}
    lots: list[list[Unpacked]] = [[], [], []]
    for package in packages:
        place = 0 if package.name in needed else 1 if package.name in sooner else 2
        lots[place].append(package)
    return lots


def in_order(packages: Sequence[Unpacked]) -> list[Unpacked]:
    """Packages after those that they pre-depend on, as far as there is such an order."""
    stanzas: list[Stanza] = [package.stanza for package in packages]

    def needs(package: Unpacked) -> int:
        return len(closure(stanzas, [package.name], fields=("Pre-Depends",)))

    return sorted(packages, key=lambda one: (one.name not in _FIRST, needs(one), one.name))


def renaming(package: Unpacked, moved: Iterable[tuple[str, str, str]]) -> str:
    """What tar is to rename because another package has diverted it (dpkg-divert(1)), as sed has it."""
    rules = [
        f"s,^\\.{_pattern(path)}$,.{_literal(other)},S"
        for path, other, owner in moved
        if owner != package.name
    ]
    return ";".join(rules) or "s,^$,,"


def _pattern(path: str) -> str:
    return re.sub(r"([\\,.*\[\]^$;])", r"\\\1", path)


def _literal(path: str) -> str:
    return re.sub(r"([\\,&;])", r"\\\1", path)


def _processes() -> str:
    return str(os.cpu_count() or 1)
