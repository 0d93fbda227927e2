"""The number of threads."""

import numpy as np

from ert._core.exceptions import InputError


def count_threads(n_jobs: int | None) -> int:
    """Resolve `n_jobs` as joblib does: -1 is all processors, None is 1."""
    if n_jobs is None:
        return 1
    if n_jobs == 0 or not isinstance(n_jobs, (int, np.integer)):
        raise InputError(f"n_jobs={n_jobs!r}: expected an integer other than 0; -1 uses all processors")
    if n_jobs > 0:
        return int(n_jobs)
    from joblib import cpu_count

    return max(1, int(cpu_count()) + 1 + int(n_jobs))
