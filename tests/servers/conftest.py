"""Gives the tests of this folder the servers that they talk to."""

from servers.fixtures import azurite, glance

__all__ = ["azurite", "glance"]
