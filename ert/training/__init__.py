"""Training: samples, stages of trees, confidence model."""
