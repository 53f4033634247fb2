"""Gives the tests of this folder the servers that they talk to."""

from servers.fixtures import glance

__all__ = ["glance"]
