"""Takes a disk that somebody else has made as a base image."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lxml import etree

from imagefactory.builds import requests
from imagefactory.builds.scratch import Scratch
from imagefactory.builds.workshop import Workshop
from imagefactory.core.errors import BuildError, RequestError
from imagefactory.core.images import BaseImage, Status
from imagefactory.core.template import NOWHERE
from imagefactory.engine.command import Tools
from imagefactory.engine.formats import writing
from imagefactory.engine.formats.detect import Disk, DiskFormat, inspect
from imagefactory.engine.formats.kinds import Output
from imagefactory.engine.inspection import Found, inspect_system

#: what others leave us and we only write -> QEMU's name of it
_QEMU: Final[Mapping[DiskFormat, str]] = {
    "vmdk": "vmdk", "vhd": "vpc", "vhdx": "vhdx", "vdi": "vdi",
}  # fmt: skip
#: systems that are compatible with Red Hat's, by their os-release(5) and by libguestfs's words
_RED_HAT: Final = frozenset(
    {"almalinux", "centos", "ol", "oraclelinux", "rhel", "rocky", "scientific", "scientificlinux"}
)


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """Copies a disk into the store, under a template that names its system (spec 3.4)."""

    workshop: Workshop
    tools: Tools

    def __call__(self, disk: Path) -> BaseImage:
        """The image, COMPLETE; its body is raw, which is what every target is made from.

        `BuildError` for a disk or a system that cannot be read, and `RequestError` for one without a
        name in templates. Nothing is recorded before all is there.
        """
        image_id, config = requests.new_id(), self.workshop.config
        scratch = Scratch(state=config.state, folder=config.scratch / image_id)
        scratch.prepare()
        try:
            copied = scratch.folder / "disk"
            self._copy(inspect(disk), copied, scratch=scratch.folder)
            found = inspect_system(
                copied, name=disk.name, tools=self.tools, cache=self.workshop.config.cache
            )
            image = _image(image_id, found)
            body = self.workshop.bodies.seal(image_id, copied)
            self.workshop.store.add(image)
            self.workshop.store.keep_body(image_id, body)
        except BaseException:
            self.workshop.bodies.remove(image_id)
            raise
        finally:
            scratch.clear()
        self.workshop.bodies.describe(image)
        return image

    def _copy(self, source: Disk, target: Path, *, scratch: Path) -> None:
        form = _QEMU.get(source.format)
        if form is None:
            output = Output(format="raw").chosen()
            writing.write(source, target, output, tools=self.tools, scratch=scratch)
        elif not source.virtual_size:  # a VMDK that only describes others
            msg = f'The disk "{source.path.name}" refers to other files'
            raise BuildError(msg, hint="Give a disk that is whole in one file")
        else:
            self.tools.run(["qemu-img", "convert", "-f", form, "-O", "raw", source.path, target])


def _image(image_id: str, found: Found) -> BaseImage:
    name, version = _named(found)
    time = datetime.now(UTC).strftime("%Y-%m-%d--%H:%M:%S")
    image = BaseImage(
        id=image_id,
        name=f"{name}-{version}-import-{time}",
        template=_template(name, version, found.arch, time),
    )
    return image.to(Status.BUILDING).to(Status.COMPLETE, activity=f"Imported on {time}")


def _named(found: Found) -> tuple[str, str]:
    """The system in a template's words; `RequestError` when there are none."""
    major, _, minor = found.version.partition(".")
    match found.id:
        case id_ if id_ in _RED_HAT:
            return f"RHEL-{major}", minor or "0"
        case "fedora":
            return "Fedora", major
        case "debian":
            return "Debian", major or "sid"  # which has no version, and neither has testing
        case "ubuntu" if re.fullmatch(r"\d+\.\d+", found.version):
            return "Ubuntu", f"{int(major)}.{int(minor):02d}"
        case other:
            msg = f"Unsupported distro for import: {other}"
            raise RequestError(msg, hint="Templates have no name for it")


def _template(name: str, version: str, arch: str, time: str) -> str:
    root = etree.Element("template")
    etree.SubElement(root, "name").text = f"{name}-{version}-import-{time}"
    system = etree.SubElement(root, "os")
    for tag, text in (("name", name), ("version", version), ("arch", arch)):
        etree.SubElement(system, tag).text = text
    install = etree.SubElement(system, "install", type="url")
    etree.SubElement(install, "url").text = NOWHERE
    etree.SubElement(root, "description").text = f"image imported on {time}"
    etree.indent(root)
    return etree.tostring(root, encoding="unicode") + "\n"
