"""Evaluation: accuracy under attack, verified image by image."""
