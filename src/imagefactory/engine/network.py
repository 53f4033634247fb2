"""The step that lets a system reach its network wherever it is started."""

from dataclasses import dataclass
from typing import Final

from imagefactory.engine.plan import Build, Step
from imagefactory.engine.tree import Tree

#: the lowest name in the folder's order that still wins over what systemd ships
_FILE: Final = "/etc/systemd/network/80-dhcp.network"
_CONTENT: Final = """\
# Written when this image was built: any Ethernet device, by DHCP and router advertisements.
[Match]
Name=en* eth*

[Network]
DHCP=yes
"""
_SERVICES: Final = ("systemd-networkd.service", "systemd-resolved.service")
#: What the package systemd-resolved does; before there was one, nobody did.
_LINK: Final = """
file=/etc/resolv.conf
[ -e "$file" ] || [ -L "$file" ] || ln -s ../run/systemd/resolve/stub-resolv.conf "$file"
"""
_NETWORK_MANAGER: Final = "NetworkManager.service"
_HAS_NETWORK_MANAGER: Final = f"[ ! -e /usr/lib/systemd/system/{_NETWORK_MANAGER} ] || echo yes"


@dataclass(frozen=True, kw_only=True)
class SetUpNetwork(Step):
    """DHCP on every Ethernet device by systemd-networkd, names by systemd-resolved."""

    @property
    def activity(self) -> str:
        return "Setting up the network"

    def run(self, build: Build) -> None:
        with Tree.load(build).shared("network", key=self.key, dated=False) as change:
            if change is None:
                return
            change.write(_FILE, _CONTENT.encode())
            change.run(["systemctl", "enable", *_SERVICES])
            change.run(["sh", "-euc", _LINK])


@dataclass(frozen=True, kw_only=True)
class EnableNetwork(Step):
    """NetworkManager, which asks for addresses on every Ethernet device; else as `SetUpNetwork` does.

    The RPM family's own way: most of its releases have no systemd-networkd.
    """

    @property
    def activity(self) -> str:
        return "Setting up the network"

    def run(self, build: Build) -> None:
        tree = Tree.load(build)
        if not tree.run(["sh", "-c", _HAS_NETWORK_MANAGER], quiet=True):
            SetUpNetwork().run(build)
            return
        with tree.change("network") as change:
            change.run(["systemctl", "enable", _NETWORK_MANAGER])
