"""The report of an evaluation: page, tables, plots and model card."""
