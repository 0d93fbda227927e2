"""What the errors of one training after another say about whether more photos help."""

from collections.abc import Mapping, Sequence

import numpy as np

from ert._core.types import Floats
from ert.metrics import bootstrap_interval

# Trainings are compared when the number of photos has grown by this factor at least.
MIN_GROWTH = 1.8
# A change of the error by less than this part is hardly one.
SMALL_CHANGE = 0.05
# With fewer photos in both trainings nothing is said.
MIN_COMMON = 8


def advice(trainings: Sequence[tuple[int, Mapping[str, float]]]) -> str:
    """Say in one sentence whether more photos help; "" where it is not known yet.

    Parameters
    ----------
    trainings : sequence of (int, mapping)
        The number of photos, and the error of each in percent of the size, by a model that was not trained on it; the
        first training first. Errors are compared on the photos of both trainings: those done later may be harder.
    """
    if not trainings:
        return ""
    n, after = trainings[-1]
    earlier = [(m, before) for m, before in trainings[:-1] if m * MIN_GROWTH <= n]
    if not earlier:
        return ""
    m, before = earlier[-1]
    common = sorted(set(before) & set(after))
    if len(common) < MIN_COMMON:
        return ""
    rows = np.array([[before[file], after[file]] for file in common])
    old, new = rows.mean(axis=0)

    def change(some: Floats) -> float:
        first, second = some.sum(axis=0)
        return float(second / max(first, 1e-9) - 1)

    high = bootstrap_interval(rows, statistic=change)[1]
    photos, numbers = f"From {m} to {n} photos", f"{old:.2f} to {new:.2f} % of the size, in the same photos"
    if change(rows) > -SMALL_CHANGE:
        return f"{photos}, the error has hardly changed ({numbers}): more photos of this kind will hardly help."
    if high < 0:
        return f"{photos}, the error has fallen ({numbers}): more photos will help further."
    return f"{photos}, the error may have fallen ({numbers}), but the photos are too few to be certain."
