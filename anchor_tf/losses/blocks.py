"""What losses that look at their columns block by block have in common."""

import tensorflow as tf

LOWEST = -1e30  # stands for log 0; finite, as inf - inf is not a number
ELEMENTS = 2**23  # similarities that a block has by default


def length_of(tensor: tf.Tensor, axis: int = 0) -> int | tf.Tensor:
    """The size of an axis: a number where it is known while tracing."""
    known = tensor.shape[axis]
    return tf.shape(tensor)[axis] if known is None else known


def default_size(columns: int, rows: int) -> int:
    """Columns of a block: at least 256, and no more than there are."""
    return min(columns, max(256, ELEMENTS // rows))
