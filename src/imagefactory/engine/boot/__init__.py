"""Booting a throw-away copy of a disk in QEMU, and watching what it says."""
