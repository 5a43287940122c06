"""Studies: methods trained side by side over seeds or folds, and what the runs say together."""
