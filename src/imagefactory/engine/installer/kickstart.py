"""The answers for Anaconda, the installer of Fedora and of what descends from Red Hat Enterprise Linux.

Each generation took words away and gave others (pykickstart, `docs/kickstart-docs.rst`): a dialect is
the number of the release of Red Hat Enterprise Linux that speaks it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from imagefactory.engine.installer.gateway import PROXY


@dataclass(frozen=True, kw_only=True)
class Server:
    """What Anaconda is to make."""

    dialect: int  #: 5 to 10; the current Fedora speaks 10
    url: str  #: of the tree that holds `images` and `repodata`
    packages: tuple[str, ...] = ()
    kernel_arguments: str = ""


def kickstart(server: Server, *, password: str | None) -> str:
    """The answers, in the words of the release's own Anaconda.

    The password is root's, as crypt(3) hashes it; with None nobody logs in with one.
    """
    return "\n".join([*_commands(server, password), "", *_packages(server)]) + "\n"


def _commands(server: Server, password: str | None) -> Iterator[str]:
    dialect = server.dialect
    if dialect <= 7:
        yield "install"
    # That of release 5 knows no proxy in its kickstart.
    proxy = f' --proxy="{PROXY}"' if dialect >= 6 else ""
    yield f'url --url="{server.url}"{proxy}'
    yield "text"
    if dialect <= 9:
        yield "skipx"
    if dialect == 5:
        yield "key --skip"
    yield "lang en_US.UTF-8"
    yield "keyboard --vckeymap=us" if dialect >= 7 else "keyboard us"
    yield "timezone Etc/UTC --utc" if dialect >= 9 else f"timezone {_utc(dialect)} Etc/UTC"
    yield from _access(server, password)
    yield (
        "network --bootproto=dhcp --device=link --activate"
        if dialect >= 7
        else ("network --bootproto=dhcp --device=eth0 --onboot=yes")
    )
    yield from _disk(server)
    yield "firstboot --disable"
    if dialect >= 7:
        yield "eula --agreed"
    yield "poweroff"


def _utc(dialect: int) -> str:
    return "--isUtc" if dialect >= 7 else "--utc"


def _access(server: Server, password: str | None) -> Iterator[str]:
    if server.dialect <= 7:
        yield "authconfig --enableshadow --passalgo=sha512"
    if password is None:
        yield "rootpw --lock" if server.dialect >= 6 else "rootpw --iscrypted !!"
    else:
        # OpenSSH of release 9 refuses root's password unless the installer is told not to.
        allowed = " --allow-ssh" if server.dialect >= 9 else ""
        yield f"rootpw --iscrypted{allowed} {password}"
    yield "selinux --enforcing"
    yield (
        "firewall --enabled --port=22:tcp"
        if server.dialect <= 5
        else ("firewall --enabled --service=ssh")
    )


def _disk(server: Server) -> Iterator[str]:
    arguments = " ".join(filter(None, ["console=tty0", "console=ttyS0", server.kernel_arguments]))
    filesystem = {5: "ext3", 6: "ext4"}.get(server.dialect, "xfs")
    yield "zerombr"
    yield "clearpart --all --initlabel"
    yield f'bootloader --location=mbr --append="{arguments}"'
    if server.dialect >= 8:
        yield "reqpart"  # with a GPT, GRUB for a BIOS has a partition of its own
    yield f"part / --fstype={filesystem} --size=1024 --grow"


def _packages(server: Server) -> Iterator[str]:
    yield "%packages"
    yield from ("@core", "openssh-server", *server.packages)
    if server.dialect >= 6:
        yield "%end"
