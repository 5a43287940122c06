"""Divergences between two predictions, per example and in float32."""

import tensorflow as tf


def kl_divergence(logits: tf.Tensor, other_logits: tf.Tensor) -> tf.Tensor:
    """KL(p || q) = sum_k p_k (log p_k - log q_k), p and q the softmax of the two arguments.

    Args:
        logits: of p, [B, K].
        other_logits: of q, [B, K]; gradients flow through both.

    Returns:
        float32 [B], at least 0 up to rounding.
    """
    log_p = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    log_q = tf.nn.log_softmax(tf.cast(other_logits, tf.float32))
    return tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), axis=-1)
