"""A template becomes a machine of a real libvirtd, which starts to its login prompt."""

import json

import pytest

from fakes.patience import settled, until
from imagefactory.builds.factory import open_factory
from imagefactory.core.config import Config
from imagefactory.core.images import ProviderImage, Status
from imagefactory.core.secret import Secret
from servers import libvirtd
from servers.libvirtd import POOL, Libvirtd

TEMPLATE = """
<template>
  <name>guest</name>
  <os>
    <name>Debian</name><version>12</version><arch>x86_64</arch>
    <install type="url"><url>http://mirror.example.org/debian</url></install>
    <rootpw>open sesame</rootpw>
  </os>
  <disk><size>3 GiB</size></disk>
</template>
"""


def test_a_pushed_image_starts_and_is_deleted(config: Config) -> None:
    with libvirtd.running() as server, open_factory(config, in_process=True) as factory:
        provider = {"uri": server.uri(), "pool": POOL, "network": "user", "mode": "domain"}
        asked = factory.create_provider_image(
            target="libvirt",
            provider=json.dumps(provider),
            credentials=Secret("{}"),
            template=TEMPLATE,
            parameters={"boot_test": False},
        )
        image = settled(factory, asked.id)
        assert isinstance(image, ProviderImage)
        assert image.status is Status.COMPLETE, image.error
        assert server.things() == sorted(
            [f"domain guest-{image.id}", f"{image.identifier_on_provider}.qcow2"]
        )
        said = console_of(server, image.id, until=b"login: ")
        assert b"Debian GNU/Linux 12" in said
        factory.delete(image.id)
        until(lambda: factory.find(image.id) is None)
        assert server.things() == []


def console_of(server: Libvirtd, uuid: str, *, until: bytes) -> bytes:
    """What a machine that runs says on its console, up to these words."""
    with server.asked() as connection:
        domain = connection.lookupByUUIDString(uuid)
        assert domain.isActive()
        stream, said = connection.newStream(0), b""
        domain.openConsole(None, stream, 0)
        while until not in said:
            piece = stream.recv(1 << 16)
            if not piece:
                pytest.fail(f"The console ended:\n{said[-2000:].decode(errors='replace')}")
            said += piece
        stream.abort()
        return said
