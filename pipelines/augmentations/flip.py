"""Random mirroring."""

import tensorflow as tf

from anchor_tf import keyed_random


def flip(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Mirrors each image left to right with probability 1/2.

    Args:
        images: [B, H, W, C].
        keys: uint32 [B, 3].

    Returns:
        [B, H, W, C].
    """
    mirrored = keyed_random.uniform(keyed_random.fold(keys, "flip"), [1, 1, 1]) < 0.5
    return tf.where(mirrored, tf.reverse(images, [2]), images)
