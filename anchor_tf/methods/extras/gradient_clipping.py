"""Clipping by the norm of the whole gradient, that of all weights and all replicas."""

import tensorflow as tf

from anchor_tf.methods.extras import across_replicas


def clipped(gradients: list[tf.Tensor], limit: float | tf.Tensor) -> list[tf.Tensor]:
    """This replica's share of the clipped gradient.

    An optimizer's own clipping sees the gradient of one replica, before the replicas are summed:
    as many times smaller, and of another direction.

    Source: Pascanu et al. 2013, "On the difficulty of training recurrent neural networks".

    Args:
        gradients: this replica's, one a variable; the optimizer will sum them over the replicas.
        limit: largest norm of the sum over replicas, above 0.

    Returns:
        Gradients, alike on all replicas, whose sum over them has a norm of at most `limit` and
        the direction of the sum of those given.
    """
    total = across_replicas.summed(gradients)
    norm = tf.linalg.global_norm(total)
    scale = limit / tf.maximum(norm, limit) / across_replicas.count()
    return [scale * gradient for gradient in total]
