"""Installs packages inside a tree with its own dpkg and apt, in a way that leaves no traces."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from imagefactory.core.errors import BuildError, CommandFailed, PackageError
from imagefactory.core.lock import LockedPackage
from imagefactory.engine.files import write_atomically
from imagefactory.engine.objects import full_disk
from imagefactory.engine.packages.deb822 import Stanza
from imagefactory.engine.packages.dependencies import provided
from imagefactory.engine.packages.package_files import PLACE, PROGRAMS, PackageFiles
from imagefactory.engine.plan import Build, Report
from imagefactory.engine.sandbox import GUEST_PATH
from imagefactory.engine.tree import Change

#: Nothing starts while packages are installed: the head of a script (Debian's policy-rc.d, see invoke-rc.d(8)).
QUIETLY: Final = """
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\\nexit 101\\n' > "$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
"""

#: Most of these packages' dependencies are met by files that are there without dpkg knowing it.
_BOOTSTRAP: Final = f"""{QUIETLY}
for list in first essential; do
    xargs -a {PLACE}/$list dpkg --force-unsafe-io --force-depends --force-confold --install
done
"""

_INSTALL: Final = f"""{QUIETLY}
if [ -s {PLACE}/requests ]; then
    mkdir -p /tmp/apt/lists/partial /tmp/apt/cache/archives/partial /tmp/apt/log
    apt-get -qq update
    xargs -a {PLACE}/requests apt-get -q install --
fi
"""

_MARK: Final = f"""
xargs -r -a {PLACE}/automatic apt-mark -qq auto
xargs -r -a {PLACE}/manual apt-mark -qq manual
"""

#: What the hooks of a kernel's installation leave out under `INITRD=No` (see initramfs-tools' hook). Its
#: files are gathered in memory.
_INITRAMFS: Final = """
unset INITRD
export TMPDIR=/tmp
for modules in /lib/modules/*; do
    version=${modules##*/}
    if [ -e "/boot/vmlinuz-$version" ] && [ ! -e "/boot/initrd.img-$version" ]; then
        update-initramfs -c -k "$version"
    fi
done
"""

#: The rest of what they leave out, with an initramfs that was made elsewhere.
_MADE: Final = "/run/initramfs"
_ADOPT_INITRAMFS: Final = f"""
unset INITRD
if [ -d {_MADE} ]; then
    cd {_MADE}
    for file in boot/initrd.img-* var/lib/initramfs-tools/*; do
        if [ -f "$file" ]; then cp --preserve=mode,ownership,timestamps "$file" "/$file"; fi
    done
fi
for initramfs in /boot/initrd.img-*; do
    version=${{initramfs#/boot/initrd.img-}}
    [ -e "/boot/vmlinuz-$version" ] || continue
    linux-update-symlinks upgrade "$version" "/boot/vmlinuz-$version"
done
"""

#: What an installation leaves behind, and a system makes again when it needs it.
_TIDY: Final = """
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/aux-cache
rm -rf /var/cache/debconf/*-old /var/lib/dpkg/*-old
rm -rf /var/log/apt/* /var/log/dpkg.log /var/log/alternatives.log /var/log/bootstrap.log
rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-
"""

_FORMAT: Final = "${Package} ${Version} ${Architecture} ${db:Status-Status}\\n"
_INSTALLING: Final = re.compile(r"(Unpacking|Setting up) \S+ ")
_BROKEN: Final = re.compile(
    r"dpkg: error processing (?:package|archive) (?:\S*/)?(?:\d+-)?(?P<name>[^\s:_]+)\S* \([^)]*\):\n(?P<why>.+)"
)


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A tree in the making, with a folder of package files bound into it."""

    build: Build
    change: Change
    files: PackageFiles
    initramfs_later: bool = False  #: by `make_initramfs`, not with each kernel

    def bootstrap(self, essential: Sequence[Stanza]) -> None:
        """Let dpkg install packages whose files are only unpacked, so that it works from then on."""
        first = [one for one in essential if one["Package"] in {"base-passwd", "base-files"}]
        self.hand_in("first", [self.files.path(stanza) for stanza in first])
        rest = [stanza for stanza in essential if stanza not in first]
        self.hand_in("essential", [self.files.path(stanza) for stanza in rest])
        self.run(_BOOTSTRAP)

    def install(self, packages: Sequence[LockedPackage]) -> None:
        """Let apt install exactly these."""
        self.hand_in("requests", [f"{package.name}={package.version}" for package in packages])
        self.run(_INSTALL)

    def mark(self, packages: Sequence[LockedPackage], *, manual: Collection[str]) -> None:
        """Note which packages somebody asked for."""
        names = {package.name for package in packages}
        self.hand_in("automatic", sorted(names - set(manual)))
        self.hand_in("manual", sorted(manual))
        self.run(_MARK)

    def make_initramfs(self) -> None:
        """Make the initramfs of each kernel that lacks one."""
        self.run(_INITRAMFS)

    def adopt_initramfs(self, made: Path | None = None) -> None:
        """Let the system boot with the initramfs of each kernel; `made` is a layer that has them."""
        self.run(_ADOPT_INITRAMFS, binds={} if made is None else {made: _MADE})

    def tidy(self) -> None:
        """Remove what the installation left behind."""
        self.run(_TIDY)

    def check(self, packages: Sequence[LockedPackage]) -> set[str]:
        """`PackageError` unless dpkg is content and all these are installed; what else is, is returned."""
        if complaint := self.run("dpkg --audit", quiet=True).strip():
            msg = f"dpkg finds the installation incomplete: {complaint.splitlines()[0]}"
            raise PackageError(msg)
        shown = self.run(f"dpkg-query --show --showformat '{_FORMAT}'", quiet=True)
        installed = {tuple(line.split()) for line in shown.splitlines()}
        wanted = {(one.name, one.version, one.arch, "installed") for one in packages}
        for name, version, *_ in sorted(wanted - installed):
            msg = f'The package "{name}" is not installed in the version "{version}" of the lock'
            raise PackageError(msg)
        return {name for name, *_ in installed - wanted}

    def demand(self, names: Collection[str]) -> None:
        """`PackageError` unless all these are installed or provided: a lock may lack what is asked for."""
        shown = self.run("dpkg-query --show --showformat '${Package}\\t${Provides}\\n'", quiet=True)
        there: set[str] = set()
        for line in shown.splitlines():
            name, _, provides = line.partition("\t")
            there |= {name} | provided({"Provides": provides})
        if missing := sorted(set(names) - there):
            msg = f'The lock lacks the package "{missing[0]}" that the template asks for'
            raise PackageError(msg, hint="Lock the template anew")

    def watched(self, *, packages: int, percents: range) -> "Guest":
        """The same, with progress reported over a range of percents while packages are installed."""
        sandbox = self.change.sandbox
        log = Counting(sandbox.tools.log, self.build.report, whole=2 * packages, percents=percents)
        tools = replace(sandbox.tools, log=log)
        return replace(self, change=replace(self.change, sandbox=replace(sandbox, tools=tools)))

    def run(
        self, script: str, *, quiet: bool = False, binds: Mapping[Path, str] | None = None
    ) -> str:
        """Run a script in the tree, where nobody is asked anything and no service starts."""
        try:
            return self.change.run(
                ["sh", "-euc", script],
                binds={self.files.folder: PLACE, **(binds or {})},
                env={
                    "DEBIAN_FRONTEND": "noninteractive",
                    "DEBCONF_NONINTERACTIVE_SEEN": "true",
                    "SYSTEMD_OFFLINE": "1",
                    **({"INITRD": "No"} if self.initramfs_later else {}),
                    "APT_CONFIG": f"{PLACE}/apt.conf",
                    "PATH": f"{PROGRAMS}:{GUEST_PATH}",
                    "SOURCE_DATE_EPOCH": str(self.files.built),
                },
                quiet=quiet,
            )
        except CommandFailed as error:
            raise explained(error) from error

    def hand_in(self, name: str, lines: Sequence[str]) -> None:
        """Put a list into the folder that the guest sees."""
        write_atomically(self.files.folder / name, "".join(f"{line}\n" for line in lines))


class Counting:
    """A log that reports progress by the lines in which an installer says what it does to a package."""

    def __init__(
        self,
        log: Callable[[str], None],
        report: Report,
        *,
        whole: int,
        percents: range,
        counted: re.Pattern[str] = _INSTALLING,
    ) -> None:
        self._log = log
        self._report = report
        self._whole = max(whole, 1)
        self._percents = percents
        self._counted = counted
        self._done = 0

    def __call__(self, line: str) -> None:
        self._log(line)
        if self._counted.match(line):
            self._done = min(self._done + 1, self._whole)
            share = len(self._percents) * self._done // self._whole
            self._report(self._percents.start + share)


def explained(error: CommandFailed) -> BuildError:
    """The failure as a sentence about a package or the disk, where the last lines tell of one."""
    if full := full_disk(error):
        return full
    if match := _BROKEN.search(error.tail):
        return PackageError(f'The package "{match["name"]}" failed: {match["why"].strip()}')
    return error
