"""RandAugment (Cubuk et al. 2019), with the operations and strengths of keras-cv's layer."""

from collections.abc import Callable

import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.errors import UserError
from anchor_tf.pipelines.augmentations import keras_cv_layers as layers

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
        draws = keyed_random.uniform(keyed_random.fold(keys, number), [8], -1.0, 1.0)
        choice, uniform, *rest = tf.unstack(draws, axis=1)
        chosen = tf.cast((choice + 1.0) / 2.0 * len(choices), tf.int32)
        # Three numbers from [-1, 1] add up to one of variance 1 that is nearly normal. Unlike
        # Box and Muller's transform this rounds alike wherever in a batch an image stands.
        draws = tf.stack([uniform, rest[0] + rest[1] + rest[2], rest[3] + rest[4] + rest[5]], 1)
        images = _apply_chosen(images, draws, chosen, choices)
    return tf.ensure_shape(tf.clip_by_value(images, 0.0, 1.0), shape)


def _apply_chosen(
    images: tf.Tensor, draws: tf.Tensor, chosen: tf.Tensor, choices: list[Callable]
) -> tf.Tensor:
    """Applies to each image the one operation chosen for it.

    Args:
        images: float32 [B, H, W, C].
        draws: float32 [B, D], random numbers for the operations.
        chosen: int32 [B], indices into `choices`.
        choices: functions of images [B', H, W, C] and of D random numbers [B'] each.
    """
    rows = tf.range(tf.shape(images)[0])
    parts = [tf.dynamic_partition(x, chosen, len(choices)) for x in (rows, images, draws)]
    changed = [
        tf.reshape(operation(some, *tf.unstack(numbers, axis=1)), tf.shape(some))
        for operation, some, numbers in zip(choices, *parts[1:], strict=True)
    ]
    return tf.dynamic_stitch(parts[0], changed)


def _choices(magnitude: float, channels: int) -> list[Callable]:
    """The operations, each a function of images [B, H, W, C] and of three random numbers [B].

    The numbers are one that is uniform in [-1, 1) and two that are about standard normal.
    """

    def around(mean, normal):
        return tf.clip_by_value(mean + _MAGNITUDE_STDDEV * normal, 0.0, 1.0)

    def solarize(x, uniform, normal, other):
        addition = _LARGEST_ADDITION * around(magnitude, normal)
        return layers.solarize(x, addition, 255.0 * around(1.0 - magnitude, other))

    def shear(uniform, normal):
        return tf.sign(uniform) * around(magnitude, normal)

    choices = [
        lambda x, u, n, _: x,
        lambda x, u, n, _: layers.auto_contrast(x),
        lambda x, u, n, _: equalize(x),
        solarize,
        lambda x, u, n, _: layers.contrast(x, 1.0 + magnitude * u),
        lambda x, u, n, _: layers.brightness(x, magnitude * u),
        lambda x, u, n, _: layers.shear(x, shear(u, n), tf.zeros_like(u)),
        lambda x, u, n, _: layers.shear(x, tf.zeros_like(u), shear(u, n)),
        lambda x, u, n, _: layers.translate(x, magnitude * u, tf.zeros_like(u)),
        lambda x, u, n, _: layers.translate(x, tf.zeros_like(u), magnitude * u),
    ]
    if channels == 3:
        choices.append(lambda x, u, n, _: layers.grey(x, around(magnitude, n)))
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
