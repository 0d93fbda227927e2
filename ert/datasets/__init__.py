"""Annotated images: datasets, file formats, checks and splits."""
