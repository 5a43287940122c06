"""What the Square attack's two norms share: random numbers, and windows as masks.

Windows are found by comparing coordinates, so that one loop body serves windows of every size,
and are float masks: products with them cost a fraction of `tf.where`.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from anchor_tf import keyed_random


def draws(keys: tf.Tensor, numbers: tf.Tensor, count: int) -> tf.Tensor:
    """Uniform numbers in [0, 1) for each query and example: float32 [Q, B, count].

    An example's numbers depend on its key and the query's number alone. Those of all queries come
    from one evaluation of the hash, whose many small operations would weigh in every query.

    Args:
        keys: uint32 [B, 3].
        numbers: the queries, int32 [Q], Q static.
        count: how many for each query and example.
    """
    queries, batch = numbers.shape[0], tf.shape(keys)[0]
    streams = tf.reshape(tf.broadcast_to(numbers[:, tf.newaxis], [queries, batch]), [-1])
    folded = keyed_random.fold(tf.tile(keys, [queries, 1]), streams)
    return tf.reshape(keyed_random.uniform(folded, [count]), [queries, batch, count])


@dataclasses.dataclass(frozen=True)
class Window:
    """One window in each image.

    Attributes:
        mask: 1 in the window, 0 outside, float32 [B, H, W, 1].
        down: rows from its first row, int32 [B, H].
        right: columns from its first column, int32 [B, W].
    """

    mask: tf.Tensor
    down: tf.Tensor
    right: tf.Tensor


def places(
    uniform: tf.Tensor, numbers: tf.Tensor, schedule: np.ndarray, images: tf.Tensor
) -> Callable[[tf.Tensor], Window]:
    """The windows of Q queries, as a function of the place among them.

    The first row is drawn from [0, H - side), the first column from [0, W - side); 0 where that
    is empty.

    Args:
        uniform: for row and column, in [0, 1), float32 [Q, B, 2].
        numbers: the queries, int32 [Q].
        schedule: the side of every query's window, int32 [queries].
        images: [B, H, W, C].
    """
    _, height, width, _ = images.shape
    sides = at(schedule, numbers)
    slack = tf.constant([height, width]) - sides[:, tf.newaxis]
    first = tf.floor(uniform * tf.cast(slack, tf.float32)[:, tf.newaxis])
    first = tf.cast(first, tf.int32)

    def window(place):
        top, left = tf.split(first[place], 2, axis=1)
        down, right, side = tf.range(height) - top, tf.range(width) - left, sides[place]
        rows = tf.cast((down >= 0) & (down < side), tf.float32)
        columns = tf.cast((right >= 0) & (right < side), tf.float32)
        mask = rows[:, :, tf.newaxis, tf.newaxis] * columns[:, tf.newaxis, :, tf.newaxis]
        return Window(mask, down, right)

    return window


def at(schedule: np.ndarray, numbers: tf.Tensor) -> tf.Tensor:
    """Entries of a schedule for these queries, int32 [Q]; its last for queries beyond its end."""
    return tf.gather(tf.constant(schedule, tf.int32), tf.minimum(numbers, len(schedule) - 1))


def signs(uniform: tf.Tensor) -> tf.Tensor:
    """-1 or 1, equally likely, from uniform numbers in [0, 1)."""
    return tf.where(uniform < 0.5, -1.0, 1.0)
