"""Trained models as files, read without trusting them."""
