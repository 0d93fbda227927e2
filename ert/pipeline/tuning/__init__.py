"""Search of the parameters that suit a dataset, with Optuna."""
