"""A small RPM distribution, made of Debian's packages and signed with a key of the test's own."""

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from fakes.debian import Key

PROGRAMS: Final = ("rpmbuild", "rpmsign", "createrepo_c", "dpkg-deb")

#: the packages of Debian's that, with what they depend on, are a small server
PARTS: Final = (
    "bash", "coreutils", "dracut-core", "e2fsprogs", "findutils", "grub-common", "grub-efi-amd64-bin",
    "grub-pc-bin", "iproute2", "libpam-systemd", "linux-image-cloud-amd64", "openssh-server", "procps",
    "rpm", "selinux-utils", "systemd", "systemd-resolved", "systemd-sysv", "tree", "udev", "util-linux",
)  # fmt: skip

#: what Debian's own tools would set up, and these packages' guests do not have
WITHOUT: Final = frozenset(
    {
        *(
            "apt",
            "adduser",
            "base-files",
            "base-passwd",
            "debconf",
            "debian-archive-keyring",
            "dpkg",
        ),
        *("gpgv", "init", "usrmerge"),
        *("debugedit", "gcc-12-base", "libarchive13", "libicu72", "libxml2", "rpm2cpio", "tzdata"),
        *("perl", "perl-base", "perl-modules-5.36", "libperl5.36", "libfile-find-rule-perl"),
        *("libnumber-compare-perl", "libtext-glob-perl"),
    }
)

#: of no use in a test
_LEFT_OUT: Final = ("doc", "info", "lintian", "locale", "man", "bug")

#: what a maintainer script of Debian's does that a guest cannot be without
_SCRIPTS: Final = {"mawk": "ln -sf mawk /usr/bin/awk", "libc6": "/usr/sbin/ldconfig || :"}

_MERGED: Final = ("bin", "sbin", "lib", "lib64")

#: A folder's own line would make every package own `/usr/bin`.
_SPEC: Final = """\
Name: {name}
Epoch: {epoch}
Version: {version}
Release: {release}
Summary: {name}, repacked
License: mixed
AutoReq: no
AutoProv: no
{more}
%description
{name}, repacked
{script}
%files
{files}
"""

#: name -> packages of Debian's that are meant, for the names that a system plugin asks for
_META: Final[Mapping[str, Sequence[str]]] = {
    "base-files": (),
    "base-passwd": (),
    "NetworkManager": ("systemd-resolved",),
    "aaa_base": (),
    "ca-certificates-mozilla": (),
    "glibc-locale-base": (),
    "growpart": (),
    "grub2": ("grub-common",),
    "grub2-i386-pc": ("grub-pc-bin",),
    "grub2-x86_64-efi": ("grub-efi-amd64-bin",),
    "kernel-default": ("@kernel",),
    "openSUSE-release": (),
    "openssh": ("openssh-server", "selinux-utils"),
    "shadow": ("passwd", "login"),
    "shim": (),
    "vim-small": (),
    "zypper": (),
    "ca-certificates": (),
    "dnf": (),
    "dracut": ("dracut-core",),
    "dracut-config-generic": (),
    "filesystem": ("grep", "sed", "mawk", "gzip", "tar", "libc-bin", "diffutils", "hostname"),
    "glibc-minimal-langpack": (),
    "grub2-efi-x64": (),
    "grub2-pc": (),
    "grub2-pc-modules": ("grub-pc-bin",),
    "grub2-tools": ("grub-common",),
    "iproute": ("iproute2",),
    "iputils": (),
    "kernel-core": ("@kernel",),
    "less": (),
    "libselinux-utils": ("selinux-utils",),
    "openssh-clients": (),
    "openssh-server": (),
    "policycoreutils": (),
    "procps": (),
    "procps-ng": (),
    "rootfiles": (),
    "selinux-policy-targeted": (),
    "shadow-utils": ("passwd", "login"),
    "shim-x64": ("grub-efi-amd64-bin",),
    "cloud-utils-growpart": (),
    "sudo": (),
    "systemd-udev": ("udev", "kmod", "dbus", "systemd-sysv"),
    "vim-minimal": (),
    "which": (),
}

#: those names that are Debian's too
_REAL: Final = ("bash", "coreutils", "e2fsprogs", "findutils", "rpm", "systemd", "util-linux")

_USERS: Final = {"root": 0, "messagebus": 101, "systemd-network": 102, "nobody": 65534}
_GROUPS: Final = {
    "root": 0, "tty": 5, "disk": 6, "lp": 7, "dialout": 20, "audio": 29, "utmp": 43, "video": 44,
    "shadow": 42, "kmem": 15, "input": 104, "render": 105, "sgx": 106, "kvm": 107, "cdrom": 24,
    "tape": 26, "floppy": 25, "adm": 4, "systemd-journal": 103, "messagebus": 101,
    "systemd-network": 102, "nogroup": 65534,
}  # fmt: skip
_PAM: Final = {
    "auth": "auth required pam_unix.so",
    "account": "account required pam_unix.so",
    "password": "password required pam_unix.so sha512",
    "session": "session required pam_unix.so",
    "session-noninteractive": "session required pam_unix.so",
}
#: of a policy: what a test can look up
CONTEXTS: Final = """\
/.*	system_u:object_r:default_t:s0
/usr/.*	system_u:object_r:usr_t:s0
/usr/s?bin/.*	system_u:object_r:bin_t:s0
/etc/.*	system_u:object_r:etc_t:s0
/etc/shadow	--	system_u:object_r:shadow_t:s0
/boot/.*	system_u:object_r:boot_t:s0
"""


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A folder with signed packages, and what it takes to make more of them."""

    folder: Path  #: what a web server shows
    key: Key

    @property
    def packages(self) -> list[Path]:
        return sorted(self.folder.rglob("*.rpm"))

    def index(self, *, signed: bool = True) -> None:
        """Write the index of what is there, and its signature."""
        groups = self.folder.parent / "comps.xml"
        more = ["--groupfile", str(groups)] if groups.exists() else []
        run(["createrepo_c", "--quiet", "--workers", "2", *more, str(self.folder)])
        index = self.folder / "repodata" / "repomd.xml"
        if signed:
            armoured = self.key.sign(index.read_text(), how="--detach-sign")
            index.with_suffix(".xml.asc").write_bytes(armoured)

    def sign(self, packages: Sequence[Path]) -> None:
        """Sign packages, as their distribution's builders do."""
        sign(packages, self.key)


def sign(packages: Sequence[Path], key: Key) -> None:
    """Sign packages with a key; it takes the place of another."""
    defined = ["--define", f"_gpg_name {key.keyring.stem}", "--define", f"_gpg_path {key.home}"]
    defined += ["--define", "__gpg /usr/bin/gpg"]
    run(["rpmsign", *defined, "--resign", *map(str, packages)])


def unsign(packages: Sequence[Path]) -> None:
    """Take the signatures of packages away."""
    run(["rpmsign", "--delsign", *map(str, packages)])


def run(argv: Sequence[str], *, cwd: Path | None = None) -> str:
    done = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, f"{argv[0]}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
    return done.stdout


def a_distribution(folder: Path, debs: Collection[Path], key: Key) -> Distribution:
    """Repack what a guest is made of, with what the packages of real distributions are called."""
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        pytest.skip(f"{missing[0]}, which makes the test's packages, is not installed")
    made = Distribution(folder=folder / "repo", key=key)
    made.folder.mkdir(parents=True)
    work = folder / "work"
    work.mkdir()
    names = {_field(deb, "Package") for deb in debs} - WITHOUT
    wanted = sorted(
        (deb for deb in debs if _field(deb, "Package") in names),
        key=lambda deb: -deb.stat().st_size,
    )
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda deb: _repack(deb, names, work, made.folder), wanted))
    _meta_packages(work / "meta", names, made.folder)
    made.sign(made.packages)
    made.index()
    return made


def a_small_distribution(folder: Path, key: Key) -> Distribution:
    """What a system plugin asks for as names and nothing else: quick, and of no use to boot."""
    made = Distribution(folder=folder / "repo", key=key)
    made.folder.mkdir(parents=True)
    _meta_packages(folder / "meta", (), made.folder, alone=True)
    made.sign(made.packages)
    made.index()
    return made


def a_package(
    folder: Path, name: str, *, version: str = "1", out: Path, more: str = "", script: str = ""
) -> Path:
    """A small package of a test's own with one file, not signed."""
    root = folder / f"{name}-{version}"
    path = root / "BR" / "usr" / "share" / name
    path.parent.mkdir(parents=True)
    path.write_text(f"{name} {version}\n")
    spec = _SPEC.format(
        name=name, epoch=0, version=version, release=1, more=more, script=script,
        files=f"/usr/share/{name}",
    )  # fmt: skip
    _build(root, spec, out, arch="noarch")
    return next(out.rglob(f"{name}-{version}-1.*.rpm"))


def _field(deb: Path, name: str) -> str:
    return run(["dpkg-deb", "--field", str(deb), name]).strip()


def _repack(deb: Path, names: Collection[str], work: Path, out: Path) -> None:
    name, whole = _field(deb, "Package"), _field(deb, "Version")
    root = work / name
    tree = root / "BR"
    for folder in ("bin", "sbin", "lib", "lib64"):
        (tree / "usr" / folder).mkdir(parents=True)
        (tree / folder).symlink_to(f"usr/{folder}")
    unpack = 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"'
    run(["sh", "-c", unpack, "sh", str(deb), str(tree)])
    for folder in _MERGED:
        (tree / folder).unlink()
    for folder in _LEFT_OUT:
        shutil.rmtree(tree / "usr" / "share" / folder, ignore_errors=True)
    epoch, _, rest = whole.rpartition(":")
    version, _, release = rest.rpartition("-") if "-" in rest else (rest, "", "1")
    needed = _needed(deb, names) | {"distribution"}
    spec = _SPEC.format(
        name=name,
        epoch=epoch or "0",
        version=version.replace("-", "_"),
        release=release,
        more=f"Requires: {' '.join(sorted(needed))}"
        + ("\nProvides: /bin/sh" if name == "dash" else ""),
        script=f"%post -p /bin/sh\n{_SCRIPTS[name]}\n" if name in _SCRIPTS else "",
        files="\n".join(_files(tree)),
    )
    arch = "noarch" if _field(deb, "Architecture") == "all" else "x86_64"
    _build(root, spec, out, arch=arch)
    shutil.rmtree(root)


def _needed(deb: Path, names: Collection[str]) -> set[str]:
    text = ", ".join(_field(deb, field) for field in ("Depends", "Pre-Depends"))
    first = (group.split("|")[0] for group in text.split(","))
    return {re.split(r"[ :(]", one.strip())[0] for one in first} & set(names)


def _files(tree: Path) -> list[str]:
    found = []
    merged = {tree / "usr" / folder for folder in _MERGED}
    for folder, folders, files in os.walk(tree):
        here = Path(folder)
        links = [one for one in folders if (here / one).is_symlink()]
        found += [f'"/{(here / one).relative_to(tree)}"' for one in (*files, *links)]
        if not folders and not files and here not in merged:
            found.append(f'%dir "/{here.relative_to(tree)}"')
    return sorted(found)


def _build(root: Path, spec: str, out: Path, *, arch: str) -> None:
    (root / "package.spec").write_text(spec)
    defined = {
        "_topdir": str(root),
        "_rpmdir": str(out),
        "_binary_payload": "w1.zstdio",
        "_build_id_links": "none",
        "__os_install_post": "%{nil}",
        "debug_package": "%{nil}",
        "__spec_install_pre": "%{___build_pre}",
        "_unpackaged_files_terminate_build": "0",
    }
    words = [word for key, value in defined.items() for word in ("--define", f"{key} {value}")]
    run([
        *("rpmbuild", "-bb", "--quiet", "--nodeps", "--noprep", "--target", arch, *words),
        *("--buildroot", str(root / "BR"), str(root / "package.spec")),
    ])  # fmt: skip


def _meta_packages(root: Path, names: Collection[str], out: Path, *, alone: bool = False) -> None:
    """The packages that hold nothing but a name, and the one with what Debian's scripts would write."""
    tree = root / "BR"
    for path, text in _system().items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    for folder in (
        "proc",
        "sys",
        "dev",
        "run",
        "tmp",
        "var/tmp",
        "var/log",
        "root",
        "home",
        "boot",
    ):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    for folder in _MERGED:
        (tree / "usr" / folder).mkdir(parents=True, exist_ok=True)
        (tree / folder).symlink_to(f"usr/{folder}")
    modes = {"tmp": "1777", "var/tmp": "1777", "root": "0700"}
    folders = ["proc", "sys", "dev", "run", "var/log", "home", "boot", *modes, *_below_usr()]
    lines = [f"%attr({modes.get(one, '0755')},root,root) %dir /{one}" for one in folders]
    lines += [f"/{folder}" for folder in _MERGED]
    lines += [f"%attr(0644,root,root) %config(noreplace) /{path}" for path in _system()]
    kernel = next((name for name in names if re.match(r"linux-image-\d", name)), "")
    needs = {
        name: [] if alone else [kernel if one == "@kernel" else one for one in meant]
        for name, meant in _META.items()
        if name not in names
    }
    if alone:
        needs |= {name: [] for name in _REAL}
    spec = _SPEC.format(
        name="distribution", epoch=0, version=42, release=1,
        more="Provides: system-release",
        script="%pretrans -p <lua>\nposix.mkdir('/usr')\n", files="\n".join(lines),
    ) + "".join(_meta(name, meant) for name, meant in needs.items())  # fmt: skip
    _build(root, spec, out, arch="noarch")


def _meta(name: str, meant: Sequence[str]) -> str:
    requires = "".join(f"Requires: {one}\n" for one in meant)
    head = f"\n%package -n {name}\nSummary: {name}\n{requires}%description -n {name}\n{name}\n"
    return f"{head}%files -n {name}\n"


def _below_usr() -> list[str]:
    return [f"usr/{folder}" for folder in _MERGED]


def _system() -> dict[str, str]:
    users = "".join(f"{name}:x:{n}:{n}::/root:/bin/bash\n" for name, n in _USERS.items())
    return {
        "etc/passwd": users,
        "etc/shadow": "".join(f"{name}:*:19000:0:99999:7:::\n" for name in _USERS),
        "etc/group": "".join(f"{name}:x:{number}:\n" for name, number in _GROUPS.items()),
        "etc/gshadow": "".join(f"{name}:*::\n" for name in _GROUPS),
        "etc/os-release": 'NAME="Test Linux"\nID=fedora\nVERSION_ID=42\nPRETTY_NAME="Test Linux 42"\n',
        "etc/rpm/macros.distribution": "%_dbpath /usr/lib/sysimage/rpm\n",
        "etc/selinux/config": "SELINUX=permissive\nSELINUXTYPE=targeted\n",
        "etc/selinux/targeted/contexts/files/file_contexts": CONTEXTS,
        **{f"etc/pam.d/common-{name}": f"{line}\n" for name, line in _PAM.items()},
    }
