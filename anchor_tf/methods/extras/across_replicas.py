"""What a training step exchanges with the other replicas; on one device nothing."""

import tensorflow as tf


def count() -> int:
    """How many replicas train together."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def summed(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    """The sum over the replicas of each tensor."""
    return _reduced("SUM", tensors)


def averaged(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    """The mean over the replicas of each tensor."""
    return _reduced("MEAN", tensors)


def largest(tensor: tf.Tensor) -> tf.Tensor:
    """The largest over the replicas of each element."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tensor
    everywhere = context.all_gather(tensor[tf.newaxis], axis=0)
    return tf.ensure_shape(tf.reduce_max(everywhere, axis=0), tensor.shape)


def _reduced(operation: str, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    context = tf.distribute.get_replica_context()
    if not tensors or context is None or context.num_replicas_in_sync == 1:
        return tensors
    return context.all_reduce(operation, tensors)
