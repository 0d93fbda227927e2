"""Landmarks on photos, thumbnails and charts."""
