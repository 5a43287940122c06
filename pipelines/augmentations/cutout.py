"""Cutout (DeVries and Taylor 2017): a black square at a random place."""

import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.errors import UserError
from anchor_tf.pipelines.augmentations import keras_cv_layers


def cutout(images: tf.Tensor, keys: tf.Tensor, *, size: int = 8) -> tf.Tensor:
    """Blackens a square centred on a random pixel; what falls outside the image is lost.

    Args:
        images: float32 [B, H, W, C] in [0, 1].
        keys: uint32 [B, 3].
        size: side of the square in pixels.

    Returns:
        float32 [B, H, W, C] in [0, 1].

    Raises:
        UserError: the size is not positive.
    """
    if size < 1:
        raise UserError(f"cutout: size={size} should be at least 1")
    height, width = images.shape[1:3]
    centres = keyed_random.integers(keyed_random.fold(keys, "cutout"), [2], [height, width])
    return keras_cv_layers.cutout(images, centres[:, 1], centres[:, 0], size)
