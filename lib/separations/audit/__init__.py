"""Whether a model's samples copy its training data: one command, one report."""
