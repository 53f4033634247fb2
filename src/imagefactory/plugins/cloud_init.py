"""What a guest needs inside so that its cloud gives it a name and keys, as a customization."""

from collections.abc import Sequence
from typing import Final

from imagefactory.core.contents import Command, Content, File, Package
from imagefactory.core.template import Template
from imagefactory.plugins.contract import Customization

#: Disks grow and networks come up by what the factory puts into every image, and a template says which
#: locale there is: cloud-init would choose en_US, which nobody has installed. With a list, it asks nobody
#: but this cloud; `None` lets a machine come up where it is not.
_CONFIG: Final = """\
# Written when this image was built for {cloud}.
datasource_list: [{sources}, None]
network: {{config: disabled}}
growpart: {{mode: "off"}}
resize_rootfs: false
locale: false
"""

_TIME: Final = """\
# Written when this image was built for {cloud}.
[Time]
NTP={server}
"""


def cloud_init(
    template: Template,
    cloud: str,
    *,
    sources: Sequence[str],
    time_server: str | None = None,
    packages: Sequence[Package] = (),
    commands: Sequence[Command] = (),
) -> Customization:
    """cloud-init that asks these datasources, and the cloud's clock; nothing for other systems.

    `time_server` is for systemd-timesyncd. A template of another system says itself what it needs.
    """
    if template.os.name not in {"Debian", "Ubuntu"}:
        return Customization()
    name = cloud.lower()
    config = _CONFIG.format(cloud=cloud, sources=", ".join(sources))
    files = [_file(f"/etc/cloud/cloud.cfg.d/90_{name}.cfg", config)]
    if time_server is not None:
        time = _TIME.format(cloud=cloud, server=time_server)
        files.append(_file(f"/etc/systemd/timesyncd.conf.d/{name}.conf", time))
    return Customization(
        packages=(Package(name="cloud-init"), *packages),
        files=tuple(files),
        commands=tuple(commands),
    )


def _file(name: str, text: str) -> File:
    return File(name=name, content=Content(text=text))
