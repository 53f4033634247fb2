"""The steps that carry out a template's `<customize>`: names, users, services, firewall, first boot."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from imagefactory.core.additions import Additions, Mode, Opening, Service, User
from imagefactory.core.errors import BuildError, CommandFailed
from imagefactory.engine.customize import content_data, hashed_password, keyed, lasting
from imagefactory.engine.plan import Build, Plan, Step
from imagefactory.engine.tree import Change, Tree

_FIRST_BOOT: Final = "/usr/lib/imagefactory/first-boot"
_FIRST_BOOT_UNIT: Final = "imagefactory-first-boot.service"
_ENV: Final = {"SYSTEMD_OFFLINE": "1"}

# hostname(5). The line in hosts lets a machine know its own name before it knows any network.
_HOSTNAME: Final = """
set -eu
printf '%s\\n' "$1" > /etc/hostname
short=${1%%.*}
[ "$short" = "$1" ] && names=$1 || names="$1 $short"
touch /etc/hosts
sed -i '/^127\\.0\\.1\\.1[[:space:]]/d' /etc/hosts
printf '127.0.1.1\\t%s\\n' "$names" >> /etc/hosts
"""

# locale.conf(5), and the file of Debian's own that its releases before 13 read. C and POSIX are built in.
_LOCALE: Final = """
set -eu
case "$1" in
C | POSIX | C.*) ;;
*)
    if [ -f /etc/locale.gen ]; then
        line=$(grep -m1 "^$1 " /usr/share/i18n/SUPPORTED) || exit 3
        printf '%s\\n' "$line" >> /etc/locale.gen
        locale-gen
    else
        localedef --list-archive 2> /dev/null | grep -qx "$1" ||
            locale -a | sed s/utf8/UTF-8/ | grep -qx "$1" || exit 3
    fi
    ;;
esac
if [ -d /etc/default ] && [ -f /etc/debian_version ]; then
    printf 'LANG=%s\\n' "$1" > /etc/default/locale
fi
printf 'LANG=%s\\n' "$1" > /etc/locale.conf
"""

_TIMEZONE: Final = """
set -eu
[ -f "/usr/share/zoneinfo/$1" ] || exit 3
ln -snf "/usr/share/zoneinfo/$1" /etc/localtime
[ ! -f /etc/timezone ] || printf '%s\\n' "$1" > /etc/timezone
"""

#: arguments: name, shell or nothing, groups; keys on standard input
_USER: Final = """
set -eu
umask 022
name=$1 shell=$2
shift 2
if ! id -u "$name" > /dev/null 2>&1; then
    if getent group "$name" > /dev/null; then own="--gid $name"; else own=--user-group; fi
    useradd --create-home $own --shell "${shell:-/bin/bash}" "$name"
elif [ -n "$shell" ]; then
    usermod --shell "$shell" "$name"
fi
for group; do
    groupadd --force "$group"
    usermod --append --groups "$group" "$name"
done
keys=$(cat)
[ -n "$keys" ] || exit 0
home=$(getent passwd "$name" | cut -d: -f6)
install -d -m 700 -o "$name" -g "$(id -gn "$name")" "$home/.ssh"
printf '%s\\n' "$keys" >> "$home/.ssh/authorized_keys"
chown "$name:" "$home/.ssh/authorized_keys"
chmod 600 "$home/.ssh/authorized_keys"
"""

_SUDO: Final = "{name} ALL=(ALL:ALL) NOPASSWD: ALL\n"

# nft(8). Replies, the machine's own traffic, ICMP and the address of a DHCP server's lease always pass.
_FIREWALL: Final = """\
#!/usr/sbin/nft -f
# Written when this image was built: only what is listed may be reached from outside.
flush ruleset

table inet filter {{
    chain input {{
        type filter hook input priority filter; policy drop;
        iif "lo" accept
        ct state established,related accept
        meta l4proto {{ icmp, ipv6-icmp }} accept
        ip6 saddr fe80::/10 udp dport 546 accept
{openings}    }}
}}
"""

_FIRST_BOOT_SERVICE: Final = f"""\
# Written when this image was built: runs its template's script once on each machine.
[Unit]
Description=Set up this machine at its first boot
ConditionPathExists=!/var/lib/imagefactory/first-boot.done
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={_FIRST_BOOT}
ExecStartPost=/bin/mkdir -p /var/lib/imagefactory
ExecStartPost=/bin/touch /var/lib/imagefactory/first-boot.done
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
"""

_MODE: Final = """
set -eu
[ -e "$1" ] || exit 3
[ -z "$3$4" ] || chown -- "$3${4:+:$4}" "$1"
[ -z "$2" ] || chmod -- "$2" "$1"
"""
_UNKNOWN: Final = 3  # the exit status with which a script says that there is no such thing


@dataclass(frozen=True, kw_only=True)
class SetUpSystem(Step):
    """Host name, locale, time zone and users, before a template's own files and commands."""

    additions: Additions

    @property
    def activity(self) -> str:
        return "Setting up names and users"

    def run(self, build: Build) -> None:
        settings = [
            ("host name", _HOSTNAME, self.additions.hostname),
            ("locale", _LOCALE, self.additions.locale),
            ("time zone", _TIMEZONE, self.additions.timezone),
        ]
        wanted = [(what, script, value) for what, script, value in settings if value is not None]
        if not wanted and not self.additions.users:
            return
        with Tree.load(build).shared("system", key=self.key) as change:
            if change is None:
                return
            for what, script, value in wanted:
                with_word = f'The {what} "{value}"'
                _run(
                    change, [script, value], f"{with_word} cannot be set", f"{with_word} is unknown"
                )
            for user in self.additions.users:
                _add_user(build, change, user)


@dataclass(frozen=True, kw_only=True)
class FinishSystem(Step):
    """Services, firewall, first-boot script and modes, after a template's own commands."""

    weight: ClassVar[int] = 1

    additions: Additions

    @property
    def activity(self) -> str:
        return "Setting up services"

    def lasts(self) -> float | None:
        return lasting([] if self.additions.first_boot is None else [self.additions.first_boot])

    def run(self, build: Build) -> None:
        wanted = self.additions
        if not (wanted.services or wanted.modes or wanted.first_boot) and wanted.firewall is None:
            return
        first_boot = None if wanted.first_boot is None else content_data(build, wanted.first_boot)
        key = keyed(self.key, [first_boot or b""])
        with Tree.load(build).shared("services", key=key) as change:
            if change is None:
                return
            if first_boot is not None:
                change.write(_FIRST_BOOT, _script(first_boot), mode=0o755)
                change.write(
                    f"/etc/systemd/system/{_FIRST_BOOT_UNIT}", _FIRST_BOOT_SERVICE.encode()
                )
                _set_service(change, Service(name=_FIRST_BOOT_UNIT, state="enabled"))
            if wanted.firewall is not None:
                _write_firewall(change, wanted.firewall)
            for service in wanted.services:
                _set_service(change, service)
            for mode in wanted.modes:
                _set_mode(change, mode)


def set_up(additions: Additions | None) -> Plan:
    """The step before a template's own files and commands, if there is anything to do."""
    return () if additions is None else (SetUpSystem(additions=additions),)


def finish(additions: Additions | None) -> Plan:
    """The step after a template's own commands, if there is anything to do."""
    return () if additions is None else (FinishSystem(additions=additions),)


def needs(additions: Additions | None, packages: Mapping[str, str]) -> tuple[str, ...]:
    """The packages without which these additions cannot be made.

    `packages` names a family's own for "locale", "timezone", "sudo" and "firewall".
    """
    if additions is None:
        return ()
    wanted = {
        "locale": additions.locale is not None,
        "timezone": additions.timezone is not None,
        "sudo": any(user.sudo for user in additions.users),
        "firewall": additions.firewall is not None,
    }
    return tuple(packages[what] for what, is_wanted in wanted.items() if is_wanted)


def _add_user(build: Build, change: Change, user: User) -> None:
    keys = "\n".join(user.ssh_keys).encode()
    words = [_USER, user.name, user.shell or "", *user.groups]
    _run(change, words, f'The user "{user.name}" cannot be made', stdin=keys)
    if user.password is not None:
        line = f"{user.name}:{hashed_password(build, user.password, user=user.name)}\n"
        change.run(["chpasswd", "--encrypted"], stdin=line.encode(), env=_ENV)
    if user.sudo:
        rule = _SUDO.format(name=user.name).encode()
        change.write(f"/etc/sudoers.d/{user.name}", rule, mode=0o440)


def _write_firewall(change: Change, openings: Sequence[Opening]) -> None:
    rules = _FIREWALL.format(openings="".join(_rules(openings))).encode()
    red_hat = change.run(["sh", "-c", "[ ! -d /etc/sysconfig ] || echo yes"], quiet=True)
    path = "/etc/sysconfig/nftables.conf" if red_hat else "/etc/nftables.conf"
    change.write(path, rules, mode=0o755)
    _set_service(change, Service(name="nftables.service", state="enabled"))


def _rules(openings: Sequence[Opening]) -> Iterator[str]:
    for opening in openings:
        ports = f"{opening.first}-{opening.last}" if opening.last > opening.first else opening.first
        yield f"        {opening.protocol} dport {ports} accept\n"


def _set_service(change: Change, service: Service) -> None:
    verb = {"enabled": "enable", "disabled": "disable", "masked": "mask"}[service.state]
    script = 'systemctl "$1" "$2"'
    _run(
        change,
        [script, verb, service.name],
        f'The service "{service.name}" cannot be {service.state}',
    )


def _set_mode(change: Change, mode: Mode) -> None:
    octal = "" if mode.mode is None else f"{mode.mode:04o}"
    words = [_MODE, mode.path, octal, mode.owner or "", mode.group or ""]
    what = f'"{mode.path}"'
    _run(change, words, f"The mode of {what} cannot be changed", f"There is no {what} in the image")


def _run(
    change: Change, words: Sequence[str], failed: str, unknown: str = "", *, stdin: bytes = b""
) -> None:
    """Run a script with its arguments; what goes wrong is told as one of the two sentences."""
    script, *arguments = words
    try:
        change.run(["sh", "-c", script, "sh", *arguments], stdin=stdin, env=_ENV)
    except CommandFailed as error:
        if error.exit_status == _UNKNOWN and unknown:
            raise BuildError(unknown, hint="See <customize> in the template") from error
        last = error.tail.strip().rpartition("\n")[2]
        raise BuildError(f"{failed}: {last}" if last else failed) from error


def _script(data: bytes) -> bytes:
    """A text that systemd can start: with the interpreter that commands without one get."""
    return data if data.startswith(b"#!") else b"#!/bin/sh\n" + data
