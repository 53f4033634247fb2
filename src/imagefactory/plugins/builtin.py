"""What the plugins that come with Image Factory say of themselves alike."""

from typing import Literal

from imagefactory import __version__
from imagefactory.plugins.contract import Info, Maintainer


def info(plugin_id: str, kind: Literal["os", "cloud"], description: str) -> Info:
    """The info of a built-in plugin, which has the factory's own version and licence."""
    return Info(
        id=plugin_id,
        type=kind,
        description=description,
        maintainer=Maintainer(name="Image Factory", email="", url=""),
        version=__version__,
        license="Apache-2.0",
    )
