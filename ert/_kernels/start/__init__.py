"""Where compiled kernels come from: their folders, the process that compiles ahead, and what computes until then."""
