"""Random crops of random size and shape, enlarged to the image's size."""

import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.errors import UserError


def resized_crop(
    images: tf.Tensor, keys: tf.Tensor, *, smallest: float = 0.2, aspect: float = 4 / 3
) -> tf.Tensor:
    """Cuts a part out of each image and enlarges it bilinearly.

    Source: as in SimCLR (Chen et al. 2020). Deviation: a part that would be wider or higher than
    the image is cut short, where others draw again.

    Args:
        images: float32 [B, H, W, C] in [0, 1], H and W above 1.
        keys: uint32 [B, 3].
        smallest: in (0, 1], the smallest share of the area; the share is uniform up to 1.
        aspect: at least 1, how often the part may be as long as wide, either way round.

    Returns:
        float32 [B, H, W, C] in [0, 1].

    Raises:
        UserError: an argument is out of range.
    """
    if not 0 < smallest <= 1 <= aspect:
        raise UserError("resized_crop: smallest should be in (0, 1], aspect at least 1")
    draws = keyed_random.uniform(keyed_random.fold(keys, "resized_crop"), [5])
    for_area, for_aspect, for_turn, for_row, for_column = tf.unstack(draws, axis=1)
    side = tf.sqrt(smallest + (1.0 - smallest) * for_area)
    stretch = tf.sqrt(1.0 + (aspect - 1.0) * for_aspect)
    stretch = tf.where(for_turn < 0.5, stretch, 1.0 / stretch)
    height, width = tf.minimum(side * stretch, 1.0), tf.minimum(side / stretch, 1.0)
    top, left = (1.0 - height) * for_row, (1.0 - width) * for_column
    boxes = tf.stack([top, left, top + height, left + width], axis=1)
    # Rounding may put the far edge outside the image, where pixels would be black.
    boxes = tf.minimum(boxes, 1.0)
    parts = tf.image.crop_and_resize(
        images, boxes, tf.range(tf.shape(images)[0]), images.shape[1:3]
    )
    return tf.clip_by_value(parts, 0.0, 1.0)
