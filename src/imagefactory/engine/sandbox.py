"""The sandbox: programs run in a user namespace of their own, as nobody of the host's importance."""

import os
import pwd
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagefactory.core.errors import CommandFailed, ToolMissing
from imagefactory.engine import emulation, seccomp
from imagefactory.engine.command import Tools, Word

_COUNT: Final = 65536

#: What package scripts need and no more; all of it counts inside the namespace only.
_CAPABILITIES: Final = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)

GUEST_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_GUEST_ENV: Final = {
    "HOME": "/root",
    "TERM": "dumb",
    "PATH": GUEST_PATH,
}

# Everything is mounted below /mnt of the private mount namespace: bubblewrap wants absolute paths, and
# those of the state folder may lead through folders that are closed to the inner root.
# A tree with no resolv.conf gets an empty one as the mount point, which must not stay in the image.
_GUEST_SCRIPT: Final = """
made=
if [ "$1" = network ]; then
    file=/mnt/root/etc/resolv.conf
    target=/etc/resolv.conf
    if [ -L "$file" ]; then
        target=$(readlink "$file")
        case "$target" in /*) ;; *) target="/etc/$target" ;; esac
    elif [ ! -e "$file" ]; then
        made="$file"
    fi
    names="--ro-bind /etc/resolv.conf $target"
else
    names=--unshare-net
fi
shift
status=0
bwrap --bind /mnt/root / --dev /dev --proc /proc --tmpfs /run $names "$@" || status=$?
[ -z "$made" ] || rm -f "$made"
exit "$status"
"""


#: Where a program of the host's finds the tree that it works on.
TREE: Final = "/mnt/tree"

# The host's programs and nothing else of it; the tree's scripts, which run under chroot(2), find what they
# need in it. A package manager sets the modes of what it owns: the tree's own /tmp stays in sight.
_OUTSIDE_SCRIPT: Final = f"""
set -- --dev /dev --proc /proc --tmpfs /tmp --tmpfs /run "$@"
for name in bin sbin lib lib64; do
    [ ! -L "/$name" ] || set -- --symlink "usr/$name" "/$name" "$@"
done
for file in passwd group nsswitch.conf ld.so.cache rpm; do
    set -- --ro-bind-try "/etc/$file" "/etc/$file" "$@"
done
bwrap --ro-bind /usr /usr --bind /mnt/root {TREE} --unshare-net \
    --dev {TREE}/dev --proc {TREE}/proc --tmpfs {TREE}/run "$@"
"""


@dataclass(frozen=True, kw_only=True)
class SubordinateIds:
    """The first of 65,536 user and group ids that this user may hand out (subuid(5), subgid(5))."""

    uid: int
    gid: int

    @classmethod
    def of_this_user(cls) -> "SubordinateIds":
        """Read from `/etc/subuid` and `/etc/subgid`; `ToolMissing` when there is no such range."""
        name = pwd.getpwuid(os.geteuid()).pw_name
        return cls(uid=_first(Path("/etc/subuid"), name), gid=_first(Path("/etc/subgid"), name))


def _first(table: Path, user: str) -> int:
    lines = table.read_text().splitlines() if table.exists() else []
    for line in lines:
        owner, _, span = line.strip().partition(":")
        first, _, count = span.partition(":")
        wide_enough = count.isdecimal() and int(count) >= _COUNT
        if owner in {user, str(os.geteuid())} and first.isdecimal() and wide_enough:
            return int(first)
    msg = f'The user "{user}" has no 65,536 subordinate ids in "{table}"'
    raise ToolMissing(msg, hint=f'Add the line "{user}:100000:65536" to that file')


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """Runs programs unprivileged: user, mount, pid, ipc, uts and, unless asked for, network namespaces.

    Paths below `state` are named relative to the working folder, so that a private folder above it
    does not shut the inner root out. The inner root is the first subordinate id when the factory runs
    as root, and the factory's own user otherwise (newuidmap(1), user_namespaces(7)).
    """

    state: Path
    tools: Tools
    arch: str = emulation.HOST  #: of the guests' programs, TDL's name

    def host(
        self,
        argv: Sequence[Word],
        *,
        cwd: Path,
        layers: Sequence[Path] = (),
        network: bool = False,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        timeout: float | None = None,
        quiet: bool = False,
    ) -> str:
        """Run a program of the host; the merged `layers`, bottom first, are at `<cwd>/tree`, read-only."""
        script = 'exec "$@"'
        if layers:
            options = ",".join(["userxattr", _lower(layers, cwd)])
            mount = f"mount -c -n -t overlay overlay -o ro,{options} tree"
            if len(layers) == 1:
                mount = f"mount -c -n --bind -o ro {_quoted(layers[0], cwd)} tree"
            script = f"set -e; mkdir -p tree; {mount}; {script}"
        return self.tools.run(
            [*_enter(network=network), "sh", "-c", script, "sh", *argv],
            cwd=cwd,
            env=env,
            stdin=stdin,
            timeout=timeout,
            quiet=quiet,
            shown_as=argv,
        )

    def guest(
        self,
        argv: Sequence[Word],
        *,
        layers: Sequence[Path],
        upper: Path | None,
        work: Path,
        binds: Mapping[Path, str] | None = None,
        network: bool = False,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        timeout: float | None = None,
        quiet: bool = False,
        keep_tmp: bool = False,
        outside: bool = False,
    ) -> str:
        """Run a program inside the tree of `layers`; what it changes lands in `upper`, or nowhere.

        `work` is an empty folder on the file system of `upper`. `binds` maps folders below `state` to
        the read-only places where the guest sees them. `/tmp` is empty and forgotten unless `keep_tmp`.
        With `outside` it is a program of the host's, as confined, without a network, and finds the tree
        at `TREE`.
        """
        options = [] if keep_tmp or outside else ["--perms", "1777", "--tmpfs", "/tmp"]  # noqa: S108 - the guest's
        options += ["--cap-drop", "ALL"]
        options += [word for capability in _CAPABILITIES for word in ("--cap-add", capability)]
        script = "set -eu\n" + self._registration + _mount_script(layers, upper, work)
        for number, (source, place) in enumerate((binds or {}).items()):
            inside = f"/mnt/bind{number}"
            script += f"mkdir {inside}; mount -c -n --bind {_quoted(source, work)} {inside}\n"
            options += ["--ro-bind", inside, place]
        with _filter() as (words, handles):
            return self.tools.run(
                [
                    *_enter(network=True),
                    *("sh", "-c", script + (_OUTSIDE_SCRIPT if outside else _GUEST_SCRIPT), "sh"),
                    *([] if outside else ["network" if network else "isolated"]),
                    *options,
                    *words,
                    *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", "localhost"),
                    *("--die-with-parent", "--new-session", "--chdir", "/", "--", *argv),
                ],
                cwd=work,
                env={**_GUEST_ENV, **(env or {})},
                stdin=stdin,
                timeout=timeout,
                quiet=quiet,
                pass_fds=handles,
                shown_as=argv,
            )

    def check(self, cwd: Path) -> None:
        """`ToolMissing` when programs of the guests cannot run here; `cwd` is any folder below `state`."""
        if script := self._registration:
            try:
                self.host(["sh", "-euc", script], cwd=cwd, quiet=True)
            except CommandFailed as error:
                raise emulation.refused(self.arch) from error

    @property
    def _registration(self) -> str:
        return emulation.registration(self.arch, path=self.tools.path) or ""

    def own(self, folder: Path, *, mode: int = 0o711) -> None:
        """Make a folder, if it is not there, and give it to the inner root."""
        if not folder.exists():
            folder.mkdir(parents=True)
        folder.chmod(mode)
        if os.geteuid() == 0:
            ids = SubordinateIds.of_this_user()
            os.chown(folder, ids.uid, ids.gid)

    def remove(self, folder: Path) -> None:
        """Delete a folder with all that inner users own in it; what is gone is no error."""
        if not folder.exists():
            return
        if os.geteuid() == 0:
            shutil.rmtree(folder)
            return
        self.host(["rm", "-rf", "--one-file-system", "--", folder.name], cwd=folder.parent)


@contextmanager
def _filter() -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """The words that make bubblewrap refuse system calls, and the open file that they name."""
    program = seccomp.program()
    if program is None:
        yield [], ()
        return
    handle = os.memfd_create("seccomp", 0)
    try:
        os.write(handle, program)
        os.lseek(handle, 0, os.SEEK_SET)
        yield ["--seccomp", str(handle)], (handle,)
    finally:
        os.close(handle)


def _enter(*, network: bool) -> list[str]:
    """The words that enter the namespaces.

    `unshare -U` makes the kernel forget the signal at the parent's death that `Tools` asked for, so it
    is asked for again before the second `unshare`, which hands a death on to the namespace's pid 1.
    """
    ids = SubordinateIds.of_this_user()
    if os.geteuid() == 0:
        maps = [f"--map-users={ids.uid},0,{_COUNT}", f"--map-groups={ids.gid},0,{_COUNT}"]
    else:
        rest = _COUNT - 1
        maps = ["--map-root-user", f"--map-users={ids.uid},1,{rest}"]
        maps += [f"--map-groups={ids.gid},1,{rest}"]
    return [
        *("unshare", "--user", *maps, "--setuid", "0", "--setgid", "0"),
        *("setpriv", "--pdeathsig", "KILL", "prlimit", "--core=0"),
        *("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"),
        *([] if network else ["--net"]),
        "--mount-proc",
    ]


def _mount_script(layers: Sequence[Path], upper: Path | None, work: Path) -> str:
    prepare = "mount -n -t tmpfs tmpfs /mnt; mkdir /mnt/root"
    if not layers:
        if upper is None:
            msg = "A tree needs a layer"
            raise ValueError(msg)
        return f"{prepare}; mount -c -n --bind {_quoted(upper, work)} /mnt/root\n"
    above, aside = "/mnt/upper", "/mnt/work"
    if upper is None:
        prepare += f"; mkdir {above} {aside}"
    else:
        above, aside = os.path.relpath(upper, work), "work"
        prepare += "; mkdir -p work"
    options = f"userxattr,{_lower(layers, work)},upperdir={above},workdir={aside}"
    return f"{prepare}; mount -c -n -t overlay overlay -o {options} /mnt/root\n"


def _lower(layers: Sequence[Path], cwd: Path) -> str:
    return "lowerdir=" + ":".join(os.path.relpath(layer, cwd) for layer in reversed(layers))


def _quoted(path: Path, cwd: Path) -> str:
    return "'" + os.path.relpath(path, cwd).replace("'", "'\\''") + "'"
