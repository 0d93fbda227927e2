"""What a fitted model is: cascades, confidence model, file formats."""
