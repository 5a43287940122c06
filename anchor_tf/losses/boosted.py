"""The boosted cross-entropy of MART, per example and in float32."""

import math

import tensorflow as tf

from anchor_tf.losses.classification import cross_entropy

_FLOOR = math.log(1e-4)


def boosted_cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """-log p_y - log(1 + 1e-4 - max_{k != y} p_k).

    Source: Wang et al. 2020, "Improving Adversarial Robustness Requires Revisiting Misclassified
    Examples", equation 7. The 1e-4 stands in its authors' code, not in the equation: examples that
    are lost to a wrong class do not pull with full force. 1 - max p is computed as
    exp(logsumexp(z without its largest wrong class) - logsumexp(z)), which loses no digits.

    Args:
        logits: z, [B, K], K at least 2.
        labels: integers y, [B].

    Returns:
        float32 [B].
    """
    logits = tf.cast(logits, tf.float32)
    classes = logits.shape[-1]
    true_class = tf.one_hot(labels, classes, on_value=True, off_value=False)
    wrong = tf.argmax(tf.where(true_class, logits.dtype.min, logits), axis=-1)
    largest_wrong = tf.one_hot(wrong, classes, on_value=True, off_value=False)
    rest = tf.reduce_logsumexp(tf.where(largest_wrong, logits.dtype.min, logits), axis=-1)
    log_rest = rest - tf.reduce_logsumexp(logits, axis=-1)
    floored = tf.reduce_logsumexp(tf.stack([log_rest, tf.fill(tf.shape(rest), _FLOOR)]), axis=0)
    return cross_entropy(logits, labels) - floored
