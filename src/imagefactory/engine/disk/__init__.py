"""Bootable disks made from trees, without loop devices, mounts of the image or root."""
