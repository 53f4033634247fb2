"""Image Factory: a service that turns system templates into bootable images and cloud images."""

__version__ = "2.0.0.dev0"
