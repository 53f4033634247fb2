"""What a guest needs to find its disk and network on hypervisors that emulate older hardware."""

from imagefactory.core.contents import Package
from imagefactory.core.template import Template
from imagefactory.plugins.contract import Customization


def kernel_with_drivers(template: Template) -> Customization:
    """Debian's usual kernel: the one for clouds has no driver for IDE, LSI Logic or E1000."""
    pc = template.os.arch == "x86_64"
    named = any(package.name.startswith("linux-image-") for package in template.packages)
    if template.os.name != "Debian" or named or not pc:
        return Customization()
    return Customization(packages=(Package(name="linux-image-amd64"),))
