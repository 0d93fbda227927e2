"""Comparison of models, explanation of predictions, errors by attributes of objects."""

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
