"""Faces: detection, alignment, pose, regions, crops."""
