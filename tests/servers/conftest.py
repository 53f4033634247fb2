"""Gives the tests of this folder the servers that they talk to."""

from servers.fixtures import azurite, gcs, glance, imageio

__all__ = ["azurite", "gcs", "glance", "imageio"]
