"""RandAugment (Cubuk et al. 2019), with the operations and strengths of keras-cv's layer."""

from collections.abc import Callable

import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.errors import UserError
from pipelines import keras_cv_layers as layers

_MAGNITUDE_STDDEV = 0.15
_LARGEST_ADDITION = 110.0


def rand_augment(
    images: tf.Tensor, keys: tf.Tensor, *, operations: int = 3, magnitude: float = 0.5
) -> tf.Tensor:
    """Applies to each image operations that are drawn for it, one after the other.

    They are drawn, with replacement, from: identity, auto-contrast, equalisation, solarisation,
    loss of colour (RGB only), contrast, brightness, and shear and translation in either direction.

    Args:
        images: float32 [B, H, W, C] in [0, 1].
        keys: uint32 [B, 3].
        operations: how many to apply.
        magnitude: in [0, 1]; how strong they are.

    Returns:
        float32 [B, H, W, C] in [0, 1].

    Raises:
        UserError: an argument is out of range.
    """
    if operations < 1:
        raise UserError(f"rand_augment: operations={operations} should be at least 1")
    if not 0 <= magnitude <= 1:
        raise UserError(f"rand_augment: magnitude={magnitude} should be in [0, 1]")
    keys = keyed_random.fold(keys, "rand_augment")
    choices = _choices(magnitude, images.shape[-1])
    shape = images.shape
    for number in range(operations):
        round_keys = keyed_random.fold(keys, number)
        chosen = keyed_random.integers(keyed_random.fold(round_keys, "choice"), [], len(choices))
        images = _apply_chosen(images, round_keys, chosen, choices)
    return tf.ensure_shape(tf.clip_by_value(images, 0.0, 1.0), shape)


def _apply_chosen(
    images: tf.Tensor, keys: tf.Tensor, chosen: tf.Tensor, choices: list[Callable]
) -> tf.Tensor:
    """Applies to each image the one operation chosen for it: int32 [B] into `choices`."""
    rows = tf.range(tf.shape(images)[0])
    parts = [tf.dynamic_partition(x, chosen, len(choices)) for x in (rows, images, keys)]
    changed = [
        tf.reshape(operation(part, part_keys), tf.shape(part))
        for operation, part, part_keys in zip(choices, *parts[1:], strict=True)
    ]
    return tf.dynamic_stitch(parts[0], changed)


def _choices(magnitude: float, channels: int) -> list[Callable]:
    """The operations, each a function of images [B, H, W, C] and keys [B, 3]."""

    def normal(keys, mean, scale, stream="normal"):
        """Normal around `mean` times `scale`, clipped to [0, scale]."""
        noise = keyed_random.normal(keyed_random.fold(keys, stream), [])
        return tf.clip_by_value(mean + _MAGNITUDE_STDDEV * noise, 0.0, 1.0) * scale

    def uniform(keys):
        return keyed_random.uniform(keyed_random.fold(keys, "uniform"), [], -magnitude, magnitude)

    def signed_normal(keys):
        sign = tf.sign(keyed_random.uniform(keyed_random.fold(keys, "sign"), [], -1.0, 1.0))
        return sign * normal(keys, magnitude, 1.0)

    def zeros(keys):
        return tf.zeros(tf.shape(keys)[:1])

    choices = [
        lambda x, keys: x,
        lambda x, keys: layers.auto_contrast(x),
        lambda x, keys: equalize(x),
        lambda x, keys: layers.solarize(
            x,
            normal(keys, magnitude, _LARGEST_ADDITION, "addition"),
            normal(keys, 1.0 - magnitude, 255.0, "threshold"),
        ),
        lambda x, keys: layers.contrast(x, 1.0 + uniform(keys)),
        lambda x, keys: layers.brightness(x, uniform(keys)),
        lambda x, keys: layers.shear(x, signed_normal(keys), zeros(keys)),
        lambda x, keys: layers.shear(x, zeros(keys), signed_normal(keys)),
        lambda x, keys: layers.translate(x, uniform(keys), zeros(keys)),
        lambda x, keys: layers.translate(x, zeros(keys), uniform(keys)),
    ]
    if channels == 3:
        choices.append(lambda x, keys: layers.grey(x, normal(keys, magnitude, 1.0)))
    return choices


def equalize(images: tf.Tensor) -> tf.Tensor:
    """Equalises the histogram of each channel, as `PIL.ImageOps.equalize` does.

    It is written out because keras-cv's layer fails on an empty batch and takes the smallest bin of
    the histogram where the original takes the last.

    Args:
        images: float32 [B, H, W, C] in [0, 1].

    Returns:
        float32 [B, H, W, C] in [0, 1], multiples of 1/255.
    """
    height, width, channels = images.shape[1:]
    levels = tf.transpose(tf.cast(tf.round(images * 255.0), tf.int32), [0, 3, 1, 2])
    levels = tf.reshape(levels, [-1, height * width])
    histograms = tf.math.bincount(levels, minlength=256, maxlength=256, axis=-1)
    highest = tf.reduce_max(levels, axis=-1, keepdims=True)
    step = (height * width - tf.gather(histograms, highest, batch_dims=1)) // 255
    cumulative = tf.cumsum(histograms, axis=-1, exclusive=True)
    table = tf.minimum((cumulative + step // 2) // tf.maximum(step, 1), 255)
    mapped = tf.where(step == 0, levels, tf.gather(table, levels, batch_dims=1))
    mapped = tf.reshape(mapped, [-1, channels, height, width])
    return tf.cast(tf.transpose(mapped, [0, 2, 3, 1]), tf.float32) / 255.0
