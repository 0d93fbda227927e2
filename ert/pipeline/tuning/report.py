"""The report of a search: an HTML page with Optuna's charts and a table of the trials."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from ert._core.system import provenance
from ert._core.types import StrPath
from ert.evaluation.report import parameter_table, provenance_facts, write_page
from ert.pipeline.tuning.storage import require_optuna
from ert.pipeline.tuning.study import finished_trials
from ert.pipeline.tuning.tune import Tuned
from ert.plotting.charts import Chart

_SECTIONS = {"search": "Search", "trials": "Trials", "data": "Data", "parameters": "Parameters of the model"}


def write_tuning_report(path: StrPath, title: str, tuned: Tuned, about: Mapping[str, str]) -> None:
    """Write the report of a search as one self-contained HTML file."""
    names = sorted({name for row in tuned.trials for name in row["values"]})
    rows = [
        (
            str(row["number"]),
            row["state"].lower(),
            *(_text(row[key], 3) for key in ("error", "second_error", "ms", "mb")),
            *(_text(row["values"].get(name), 3) for name in names),
        )
        for row in tuned.trials
    ]
    head = ("trial", "state", "error (%)", "in other folds (%)", "ms", "MB", *names)
    write_page(
        path,
        "tuning.html.j2",
        title=title,
        lead="Search of the parameters of training",
        refresh=None,
        sections=_SECTIONS,
        lines=tuned.lines,
        charts=list(_charts(tuned.study)),
        trials=("Values named relative are factors of what the preset has chosen", head, rows),
        about=dict(about) | provenance_facts(provenance(("optuna",))),
        parameters=parameter_table(tuned.model),
    )


def _text(value: Any, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _charts(study: Any) -> Iterator[tuple[Chart, str]]:
    """Yield the charts and their captions; Optuna draws none of them from a single trial."""
    optuna = require_optuna()
    if len(finished_trials(study)) < 2:
        return
    from matplotlib import pyplot, rc_context

    draw = optuna.visualization.matplotlib
    plots: list[tuple[str, Any, dict[str, Any]]] = []
    if len(study.directions) > 1:
        plots.append(
            ("The trials by error and cost, with those that no other beats in both.", draw.plot_pareto_front, {})
        )
    else:
        plots.append(("The error of the trials, and the smallest so far.", draw.plot_optimization_history, {}))
        plots.append(("The error at each step of a trial.", draw.plot_intermediate_values, {}))
    first: Any = {"target": lambda trial: trial.values[0], "target_name": "error (%)"}
    plots.append(("The error by the value of each dimension.", draw.plot_slice, first))
    importance: Any = {"evaluator": optuna.importance.PedAnovaImportanceEvaluator()}
    plots.append(
        ("How much each dimension matters among the better trials.", draw.plot_param_importances, first | importance)
    )
    for caption, plot, options in plots:
        with warnings.catch_warnings(), rc_context():  # Optuna changes the style of all charts.
            warnings.simplefilter("ignore")
            try:
                axes = plot(study, **options)
            except (ValueError, RuntimeError):
                # Of importances, where all trials have the same error.
                continue
            figure = (axes.flat[0] if hasattr(axes, "flat") else axes).figure
        pyplot.close(figure)
        yield Chart(figure, caption), caption
