"""Classification objectives, per example and in float32: what training lowers and attacks raise."""

import tensorflow as tf


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor, smoothing: float = 0.0) -> tf.Tensor:
    """-(1 - s) log softmax(logits)[label] - s / K sum_k log softmax(logits)[k].

    Args:
        logits: [B, K], any float type.
        labels: integers [B].
        smoothing: s in [0, 1), the share of a label that is spread over all classes (Szegedy et
            al. 2016, "Rethinking the Inception Architecture").

    Returns:
        float32 [B].
    """
    logits = tf.cast(logits, tf.float32)
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    if not smoothing:
        return loss
    uniform = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=-1)
    return (1.0 - smoothing) * loss + smoothing * uniform


def margin(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """max_{i != y} z_i - z_y: positive exactly where the example is misclassified.

    Args:
        logits: [B, K].
        labels: integers [B].

    Returns:
        float32 [B].
    """
    logits = tf.cast(logits, tf.float32)
    true_class = tf.one_hot(labels, logits.shape[-1], on_value=True, off_value=False)
    # The true class is masked with the lowest number: multiplied with 0 it could still be the
    # maximum when all logits are negative.
    others = tf.where(true_class, logits.dtype.min, logits)
    true_logit = tf.gather(logits, labels, batch_dims=1)
    return tf.reduce_max(others, axis=-1) - true_logit
