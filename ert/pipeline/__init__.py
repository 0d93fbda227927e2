"""From annotated images to a model, and from photographs to tables of landmarks."""
