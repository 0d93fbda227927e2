"""Faces tracked through video."""
