"""Slow, obvious NumPy twins of the kernels: what the tests compare them with."""
