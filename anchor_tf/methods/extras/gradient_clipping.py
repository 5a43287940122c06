"""The norm of the whole gradient, that of all weights and all replicas, and clipping by it."""

import tensorflow as tf

from anchor_tf.methods.extras import across_replicas


def measured(gradients: list[tf.Tensor]) -> tuple[list[tf.Tensor], tf.Tensor]:
    """The norm of the gradient, for which the replicas sum it.

    Args:
        gradients: this replica's, one a variable; the optimizer will sum them over the replicas.

    Returns:
        Gradients whose sum over the replicas is that of those given, and is alike on all of them;
        the norm of that sum, float32.
    """
    total = across_replicas.summed(gradients)
    norm = tf.linalg.global_norm(total)
    if across_replicas.count() == 1:
        return total, norm
    return [gradient / across_replicas.count() for gradient in total], norm


def clipped(gradients: list[tf.Tensor], norm: tf.Tensor, limit: float | tf.Tensor) -> list:
    """Gradients scaled down where their norm is above a limit.

    An optimizer's own clipping sees the gradient of one replica, before the replicas are summed:
    as many times smaller, and of another direction.

    Source: Pascanu et al. 2013, "On the difficulty of training recurrent neural networks".

    Args:
        gradients: what `measured` returned.
        norm: what it returned with them.
        limit: largest norm of the sum over replicas, above 0.
    """
    scale = limit / tf.maximum(norm, limit)
    return [scale * gradient for gradient in gradients]
