"""Difference of logits ratio: attack objectives that no shift or scaling of the logits changes."""

import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.losses.classification import margin

# Keeps the ratio defined where the leading logits tie, as in the authors' code.
_TINY = 1e-12


def dlr(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """(max_{i != y} z_i - z_y) / (z_(1) - z_(3)), with z_(1) >= z_(2) >= ... the sorted logits.

    Positive exactly where the example is misclassified, and at most 1 unless y ranks below third.
    Where y ranks third it is the constant 1, without a gradient.

    Source: Croce and Hein 2020, "Reliable Evaluation of Adversarial Robustness with an Ensemble of
    Diverse Parameter-free Attacks".

    Args:
        logits: [B, K], K at least 3, any float type.
        labels: integers [B].

    Returns:
        float32 [B].

    Raises:
        UserError: fewer than 3 classes.
    """
    largest = _largest(logits, 3, "dlr")
    return margin(logits, labels) / (largest[:, 0] - largest[:, 2] + _TINY)


def targeted_dlr(logits: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """(z_t - z_y) / (z_(1) - (z_(3) + z_(4)) / 2): raises class t above y.

    Source: as for `dlr`.

    Args:
        logits: [B, K], K at least 4, any float type.
        labels: integers [B].
        targets: integers [B], the class t of each example.

    Returns:
        float32 [B].

    Raises:
        UserError: fewer than 4 classes.
    """
    largest = _largest(logits, 4, "targeted_dlr")
    logits = tf.cast(logits, tf.float32)
    gap = tf.gather(logits, targets, batch_dims=1) - tf.gather(logits, labels, batch_dims=1)
    return gap / (largest[:, 0] - (largest[:, 2] + largest[:, 3]) / 2.0 + _TINY)


def _largest(logits, count, name):
    """The `count` largest logits, in descending order: float32 [B, count]."""
    classes = logits.shape[-1]
    if classes < count:
        raise UserError(
            f"objective {name} needs at least {count} classes and the model has {classes}: use ce"
        )
    return tf.math.top_k(tf.cast(logits, tf.float32), count).values
