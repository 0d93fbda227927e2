"""Comparison of models, explanation of predictions, errors by attributes of objects.

Compare two models on the same objects; negative differences are in favor of the first:

>>> import ert
>>> images, boxes, truth = ert.datasets.synthetic_faces(6)
>>> X = list(zip(images, boxes))
>>> found = [ert.load(name).predict(X) for name in ("face68", "face68-small")]
>>> comparison = ert.evaluation.compare_shapes(truth, *found)
>>> sorted(comparison.figures["difference"])
['a_better', 'b_better', 'equal', 'interval_95', 'mean']
>>> comparison.errors.shape  # of each model on each object
(2, 6)

Summarize errors by an attribute of the objects:

>>> rows = ert.evaluation.errors_by(["left", "left", "right"], [2.0, 4.0, 9.0])
>>> [(row["group"], row["n"], row["mean"]) for row in rows]
[('left', 2, 3.0), ('right', 1, 9.0)]
"""

from ert.evaluation.attributes import attribute_table, group_columns
from ert.evaluation.comparison import (
    BenchmarkModel,
    Comparison,
    compare_shapes,
    compare_times,
    make_benchmark_model,
    measure,
    most_different,
)
from ert.evaluation.explanation import Explanation, explain
from ert.evaluation.groups import by_groups, errors_by

__all__ = [
    "BenchmarkModel",
    "Comparison",
    "Explanation",
    "attribute_table",
    "by_groups",
    "compare_shapes",
    "compare_times",
    "errors_by",
    "explain",
    "group_columns",
    "make_benchmark_model",
    "measure",
    "most_different",
]
