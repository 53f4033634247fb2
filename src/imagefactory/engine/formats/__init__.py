"""Disk image formats, one module each."""
