"""Prediction: input validation and the choice of strategy."""
