"""What integration tests need of the machine: its own package mirrors, standing in for a template's."""

from collections.abc import Mapping

import pytest

from imagefactory.engine.packages.apt_sources import machine_mirrors as read_machine

DEBIAN = "http://mirror.example.org/debian"  #: what the tests' templates name


@pytest.fixture(scope="session")
def machine_mirrors() -> Mapping[str, str]:
    """The table for `Config.mirrors`; the test is skipped on a machine without Debian's sources."""
    table = read_machine(url=DEBIAN)
    if not table:
        pytest.skip("/etc/apt names no Debian archive that could stand in for the templates'")
    return table
