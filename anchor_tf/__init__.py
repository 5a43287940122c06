"""Robust image classifiers for Keras 3 and TensorFlow, trained with contrastive learning."""

__version__ = "0.1.0"
