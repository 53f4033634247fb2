"""Persistence: the database of images and the files of their bodies."""
