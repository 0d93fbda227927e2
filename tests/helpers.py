"""What several test modules build on."""

from pathlib import Path

from ert import ShapePredictor

SHARED = Path(__file__).parents[2] / "shared" / "data"


def small_predictor(**params):
    defaults = {"n_stages": 3, "n_trees": 40, "n_inits": 5, "n_pixels": 150, "working_size": 64}
    return ShapePredictor(**(defaults | params))
