"""File formats of annotations, one module a format."""
