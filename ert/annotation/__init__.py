"""Annotation in the browser: a local page in which people mark landmarks, with a model that helps."""
