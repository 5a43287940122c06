"""Random crops of a padded image."""

import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.errors import UserError


def crop(images: tf.Tensor, keys: tf.Tensor, *, padding: int = 4) -> tf.Tensor:
    """Pads each image with zeros and cuts its size out of that at random.

    Args:
        images: [B, H, W, C].
        keys: uint32 [B, 3].
        padding: zeros on each side, hence the largest shift in pixels.

    Returns:
        [B, H, W, C].

    Raises:
        UserError: the padding is negative.
    """
    if padding < 0:
        raise UserError(f"crop: padding={padding} should not be negative")
    height, width, channels = images.shape[1:]
    offsets = keyed_random.integers(keyed_random.fold(keys, "crop"), [2, 1, 1], 2 * padding + 1)
    rows = offsets[:, 0] + tf.range(height)[:, tf.newaxis]
    columns = offsets[:, 1] + tf.range(width)
    margins = [padding, padding]
    padded = tf.pad(images, [[0, 0], margins, margins, [0, 0]])
    # One gather of whole pixels is several times faster than a slice for each image.
    image = tf.range(tf.shape(images)[0])[:, tf.newaxis, tf.newaxis]
    pixel = (image * (height + 2 * padding) + rows) * (width + 2 * padding) + columns
    return tf.gather(tf.reshape(padded, [-1, channels]), pixel)
