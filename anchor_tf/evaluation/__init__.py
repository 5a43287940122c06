"""Evaluation: accuracy under attack, and the report of it."""
