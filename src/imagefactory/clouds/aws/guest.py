"""What EC2 documents that a system needs inside to be a good machine there, as data."""

from collections.abc import Mapping
from typing import Final

from imagefactory.core.template import Content, File, Package, Template
from imagefactory.plugins.contract import Customization

#: Disks grow and networks come up by what the factory puts into every image, so cloud-init is to set
#: the name, the keys and what the machine's owner says, and to ask nobody but EC2 for it.
_CLOUD_INIT: Final = """\
# Written when this image was built for EC2.
datasource_list: [Ec2, None]
network: {config: disabled}
growpart: {mode: "off"}
resize_rootfs: false
"""

#: The clock of the Nitro system, on a link-local address in every network.
_TIME: Final = """\
# Written when this image was built for EC2: the Amazon Time Sync Service.
[Time]
NTP=169.254.169.123
"""

_DEBIAN: Final = Customization(
    packages=(Package(name="cloud-init"),),
    files=(
        File(
            name="/etc/cloud/cloud.cfg.d/90_ec2.cfg", content=Content(type="raw", text=_CLOUD_INIT)
        ),
        File(
            name="/etc/systemd/timesyncd.conf.d/ec2.conf", content=Content(type="raw", text=_TIME)
        ),
    ),
)

#: by the name of the system; its kernels have ENA and NVMe, its boot loader writes to the serial line
_SYSTEMS: Final[Mapping[str, Customization]] = {"Debian": _DEBIAN}


def customization(template: Template) -> Customization:
    """For a system that is not listed, nothing: its template says what it needs."""
    return _SYSTEMS.get(template.os.name, Customization())
