"""Prediction of many images by the workers of a Dask cluster."""
