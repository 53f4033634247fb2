"""The step after which no two machines made from an image can be taken for one."""

from dataclasses import dataclass
from typing import Final

from imagefactory.engine.plan import Build, Step
from imagefactory.engine.tree import Tree

_UNIT: Final = "imagefactory-ssh-keys.service"
_FOLDER: Final = "/etc/systemd/system"
_SERVERS: Final = ("ssh.service", "sshd.service")

#: Written into the image, whose ssh server does not start without keys.
_KEYS_AT_FIRST_BOOT: Final = f"""\
# Written when this image was built without ssh host keys: each machine makes its own.
[Unit]
Description=Make this machine's ssh host keys
ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key
Before={" ".join(_SERVERS)}

[Service]
Type=oneshot
# Every client since 2011 knows one of these. An RSA key takes longer to make than the rest of the
# boot in an emulated machine; "ssh-keygen -A" adds it where one is wanted.
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
ExecStart=/usr/bin/ssh-keygen -q -t ecdsa -N "" -f /etc/ssh/ssh_host_ecdsa_key

[Install]
WantedBy=multi-user.target {" ".join(_SERVERS)}
"""

# machine-id(5): empty, not missing, so that a read-only root works and units keep their state.
_FORGET: Final = """
set -eu
: > /etc/machine-id
if [ -f /var/lib/dbus/machine-id ] && [ ! -L /var/lib/dbus/machine-id ]; then
    ln -sf /etc/machine-id /var/lib/dbus/machine-id
fi
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
rm -f /var/lib/systemd/random-seed /var/lib/urandom/random-seed /boot/efi/loader/random-seed
rm -f /var/lib/systemd/credential.secret
rm -f /var/lib/dhcp/*.leases /var/lib/NetworkManager/*.lease /var/lib/NetworkManager/secret_key
rm -f /root/.bash_history /etc/.pwd.lock

rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/dnf/* /var/cache/yum/* /var/cache/zypp/*
rm -rf /var/cache/ldconfig/aux-cache /var/cache/debconf/*-old /var/lib/dpkg/*-old
rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-

for folder in /tmp /var/tmp /var/log/journal; do
    [ ! -d "$folder" ] || find "$folder" -xdev -mindepth 1 -delete
done
if [ -d /var/log ]; then
    find /var/log -xdev -type f '(' -name '*.gz' -o -name '*.xz' -o -name '*.[0-9]' ')' -delete
    find /var/log -xdev -type f -size +0 -exec sh -c 'for log; do : > "$log"; done' sh {} +
fi
"""

_HAS_SSH: Final = "[ ! -x /usr/sbin/sshd ] || [ ! -d /etc/systemd ] || echo yes"


@dataclass(frozen=True, kw_only=True)
class ResetIdentity(Step):
    """Removes machine id, ssh host keys, random seeds, leases, logs and caches.

    Where systemd starts an ssh server, a small unit of ours makes its keys when a machine has none.
    """

    @property
    def activity(self) -> str:
        return "Removing what must not be shared between machines"

    def run(self, build: Build) -> None:
        with Tree.load(build).shared("identity", key=self.key, dated=False) as change:
            if change is None:
                return
            change.run(["sh", "-s"], stdin=_FORGET.encode(), keep_tmp=True)
            if not change.run(["sh", "-c", _HAS_SSH], quiet=True):
                return
            change.write(f"{_FOLDER}/{_UNIT}", _KEYS_AT_FIRST_BOOT.encode())
            change.run(["systemctl", "enable", _UNIT], env={"SYSTEMD_OFFLINE": "1"})
