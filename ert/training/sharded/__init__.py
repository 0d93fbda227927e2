"""Training on several workers of a Dask cluster, each of which has a part of the objects: the same model."""
