"""Comparison of models, explanation of predictions, errors by attribute."""
