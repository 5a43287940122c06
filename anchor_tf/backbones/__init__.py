"""Backbones: Keras models from images in [0, 1] to features [B, F]."""
