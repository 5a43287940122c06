"""Embeddings scaled to unit length, with a gradient that stays bounded near zero."""

from collections.abc import Callable

import tensorflow as tf

SHORT = 1e-3  # shorter rows have the gradient that they would have at this length
ZERO = 1e-6  # still shorter ones point nowhere, and have none


def unit_length(
    embeddings: tf.Tensor, normalize: Callable[[tf.Tensor], tf.Tensor] | None = None
) -> tf.Tensor:
    """Embeddings [B, D] divided by their lengths.

    The gradient of a normalisation grows as 1 / length: one dead image, whose embedding is 0, would
    outweigh a batch and ruin the weights in a single step.

    Args:
        embeddings: float32 [B, D].
        normalize: the normalisation; TensorFlow's `l2_normalize` by default.

    Returns:
        float32 [B, D]; 0 for a row of zeros. From a length of 1e-3 on, value and gradient are those
        of `normalize`.
    """
    normalize = normalize or (lambda rows: tf.math.l2_normalize(rows, axis=-1))
    fixed = tf.stop_gradient(embeddings)
    unit = normalize(fixed)
    length = tf.norm(fixed, axis=-1, keepdims=True)
    directed = (length >= ZERO) | tf.math.is_nan(length)
    # At `unit` and not at the row itself, with d lifted / d embeddings = 1 / SHORT.
    lifted = tf.where(directed, unit, 1.0) + (embeddings - fixed) / SHORT
    long = length >= SHORT
    return tf.where(directed, normalize(tf.where(long, embeddings, lifted)), unit)
