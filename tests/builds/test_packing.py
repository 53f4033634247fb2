"""A target image that is packed by another target, as the original's users ask for it."""

import tarfile
from pathlib import Path

import pytest

from fakes.patience import until
from fakes.plugins import a_template
from imagefactory.builds.factory import Factory, open_factory
from imagefactory.core.config import Config
from imagefactory.core.errors import NotFound
from imagefactory.core.images import BaseImage, Status, TargetImage
from imagefactory.web.views import detailed

MOCK = a_template(system="MockOS_A")


def settled(factory: Factory, image: BaseImage | TargetImage) -> None:
    until(lambda: factory.image(type(image), image.id).settled)
    done = factory.image(type(image), image.id)
    assert (done.status, done.error) == (Status.COMPLETE, None)


def test_a_target_image_is_packed_and_shown_as_the_parent(tmp_path: Path) -> None:
    with open_factory(Config(state=tmp_path / "state"), in_process=True) as factory:
        base = factory.create_base_image(template=MOCK)
        settled(factory, base)
        disk = factory.create_target_image(target="hyperv", base_image_id=base.id)
        settled(factory, disk)
        box = factory.create_target_image(target="ova", base_image_id=disk.id)
        settled(factory, box)
        with tarfile.open(factory.body(box.id)) as tar:
            assert "Virtual Hard Disks/disk.vhd" in tar.getnames()
        view = detailed(factory.family(TargetImage, box.id), "here", root="/imagefactory")
        assert view["target_image"]["base_image"] == {
            "_type": "TargetImage",
            "id": disk.id,
            "href": f"/imagefactory/target_images/{disk.id}",
        }
        twice = factory.create_target_image(target="OVA", base_image_id=box.id)
        until(lambda: factory.image(TargetImage, twice.id).settled)
        failed = factory.image(TargetImage, twice.id)
        assert failed.status is Status.FAILED
        assert failed.error == 'An image of the target "ova" cannot be packed as an OVA'
        with pytest.raises(NotFound, match="No BaseImage found"):
            factory.create_target_image(target="local", base_image_id=disk.id)
