"""Foundations: errors, files, images, threads and versions."""
