"""HTML pages and charts of evaluations, comparisons and training."""
