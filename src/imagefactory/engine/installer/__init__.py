"""Installs a system with its distribution's own installer, in a machine that is watched."""
