"""The answers for Debian's installer: a server with nothing but what is asked for."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from imagefactory.engine.installer.gateway import PROXY

_TEMPLATE: Final = """\
d-i debian-installer/locale string en_US.UTF-8
d-i keyboard-configuration/xkb-keymap select us
d-i netcfg/choose_interface select auto
d-i netcfg/get_nameservers string 10.0.2.3
d-i netcfg/get_hostname string localhost
d-i netcfg/get_domain string localdomain
d-i netcfg/hostname string localhost
d-i hw-detect/load_firmware boolean false
d-i mirror/country string manual
d-i mirror/protocol string {scheme}
d-i mirror/{scheme}/hostname string {host}
d-i mirror/{scheme}/directory string {folder}
d-i mirror/{scheme}/proxy string {proxy}
d-i mirror/suite string {suite}
d-i passwd/root-login boolean true
d-i passwd/root-password-crypted password {password}
d-i passwd/make-user boolean false
d-i clock-setup/utc boolean true
d-i clock-setup/ntp boolean false
d-i time/zone string Etc/UTC
d-i partman-auto/disk string /dev/vda
d-i partman-auto/method string regular
d-i partman-auto/expert_recipe string root :: 1000 10000 -1 ext4 $primary{{ }} $bootable{{ }} \
method{{ format }} format{{ }} use_filesystem{{ }} filesystem{{ ext4 }} mountpoint{{ / }} .
d-i partman-auto/choose_recipe select root
d-i partman-basicfilesystems/no_swap boolean false
d-i partman-partitioning/confirm_write_new_label boolean true
d-i partman/choose_partition select finish
d-i partman/confirm boolean true
d-i partman/confirm_nooverwrite boolean true
d-i base-installer/install-recommends boolean false
d-i apt-setup/services-select multiselect security, updates
d-i apt-setup/security_host string {host}
d-i apt-setup/security_path string {security}
d-i apt-setup/cdrom/set-first boolean false
d-i debian-installer/add-kernel-opts string console=tty0 console=ttyS0 {kernel_arguments}
tasksel tasksel/first multiselect
d-i pkgsel/include string {packages}
d-i pkgsel/upgrade select none
d-i pkgsel/update-policy select none
popularity-contest popularity-contest/participate boolean false
d-i grub-installer/only_debian boolean true
d-i grub-installer/bootdev string /dev/vda
d-i preseed/late_command string rm -f /target/etc/apt/apt.conf
d-i finish-install/keep-consoles boolean true
d-i finish-install/reboot_in_progress note
d-i debian-installer/exit/poweroff boolean true
"""


@dataclass(frozen=True, kw_only=True)
class Server:
    """What Debian's installer is to make."""

    url: str  #: of the archive
    security: str  #: URL of its security updates, on the same host
    suite: str
    packages: tuple[str, ...] = ()
    kernel_arguments: str = ""


def preseed(server: Server, *, password: str) -> str:
    """The answers, in the format of debconf-set-selections(1).

    The password is root's, as crypt(3) hashes it; `!` is the hash of none.
    """
    archive = urlsplit(server.url)
    text = _TEMPLATE.format(
        scheme=archive.scheme,
        host=archive.netloc,
        folder=archive.path or "/",
        proxy=PROXY,
        suite=server.suite,
        password=password,
        security=urlsplit(server.security).path,
        kernel_arguments=server.kernel_arguments,
        packages=" ".join(["openssh-server", *server.packages]),
    )
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
