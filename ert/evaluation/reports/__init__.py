"""Reports of evaluations, comparisons, explanations and trainings: HTML pages and pictures."""
