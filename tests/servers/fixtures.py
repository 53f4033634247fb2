"""Servers that start when a test first asks for them, and end with the session."""

from collections.abc import Iterator

import pytest

from servers import azurite as azurite_server
from servers import gcs as gcs_server
from servers import imageio as imageio_server
from servers.azurite import Azurite
from servers.imageio import ImageIO
from servers.openstack import OpenStackServers, running


@pytest.fixture(scope="session")
def glance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenStackServers]:
    """A real Keystone and a real Glance."""
    with running(tmp_path_factory.mktemp("openstack")) as servers:
        yield servers


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Microsoft's emulator of Azure's blobs."""
    with azurite_server.running(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an emulator of Google Cloud Storage."""
    with gcs_server.running(tmp_path_factory.mktemp("gcs")) as url:
        yield url


@pytest.fixture(scope="session")
def imageio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageIO]:
    """The daemon that takes disks on oVirt's hosts."""
    with imageio_server.running(tmp_path_factory.mktemp("imageio")) as daemon:
        yield daemon
