"""Models in the browser: the ES modules that run them, and pages of one file."""
