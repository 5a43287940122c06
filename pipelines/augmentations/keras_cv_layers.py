"""The layers of keras-cv that the augmentations use, as pure functions of their parameters.

A keras-cv layer is two halves: one draws random numbers from a generator with a state, which in a
parallel `Dataset.map` gives other batches on every run; the other, `augment_images`, is a pure
function of images and drawn numbers. Only the second half is used here. The numbers come from the
examples' keys, so that an image's augmentation depends on nothing but its key.

Every function takes images float32 [B, H, W, C] in [0, 1], parameters float32 [B] unless it says
otherwise, and returns images of the same shape. B may be 0.
"""

import functools

import keras_cv
import tensorflow as tf

_RANGE = (0, 1)


@functools.cache
def _layer(name: str, **arguments) -> keras_cv.layers.BaseImageAugmentationLayer:
    """A keras-cv layer; the arguments only have to be valid, as nothing is drawn from it."""
    # Layers own variables, which a function that is being traced could not keep.
    with tf.init_scope():
        return getattr(keras_cv.layers, name)(**arguments, dtype="float32")


def _per_image(parameters: tf.Tensor) -> tf.Tensor:
    return tf.reshape(parameters, [-1, 1, 1, 1])


def brightness(images: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Adds `shift`, in [-1, 1], to every pixel."""
    layer = _layer("RandomBrightness", factor=1.0, value_range=_RANGE)
    return layer.augment_images(images, _per_image(shift))


def contrast(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiplies every pixel's difference from its channel's mean by `factor`."""
    layer = _layer("RandomContrast", factor=1.0, value_range=_RANGE)
    return layer.augment_images(images, _per_image(factor))


def saturation(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiplies the saturation of RGB images by `factor`, which is not negative."""
    layer = _layer("RandomSaturation", factor=1.0)
    # The layer maps its parameter p to the factor p / (1 - p).
    return layer.augment_images(images, factor / (1.0 + factor))


def hue(images: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Turns the hue of RGB images by `turn`, in [-1/2, 1/2] of the whole circle."""
    layer = _layer("RandomHue", factor=1.0, value_range=_RANGE)
    return layer.augment_images(images, turn)


def grey(images: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Blends RGB images with their grey version, whose share is in [0, 1]."""
    layer = _layer("RandomColorDegeneration", factor=1.0)
    return layer.augment_images(images, _per_image(share))


def auto_contrast(images: tf.Tensor) -> tf.Tensor:
    """Stretches each channel to the whole range."""
    return _layer("AutoContrast", value_range=_RANGE).augment_images(images)


def solarize(images: tf.Tensor, addition: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Adds `addition`, then inverts the pixels from `threshold` on; both in 0..255."""
    numbers = {"additions": _per_image(addition), "thresholds": _per_image(threshold)}
    return _layer("Solarization", value_range=_RANGE).augment_images(images, numbers)


def shear(images: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Shears by `x` pixels a row and by `y` pixels a column; what is missing is reflected."""
    layer = _layer("RandomShear", x_factor=1.0, y_factor=1.0)
    numbers = {"shear_x": x[:, tf.newaxis], "shear_y": y[:, tf.newaxis]}
    return layer.augment_images(images, numbers)


def translate(images: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Shifts by `x` of the width and `y` of the height; what is missing is reflected."""
    layer = _layer("RandomTranslation", height_factor=1.0, width_factor=1.0)
    numbers = {"width_translations": x[:, tf.newaxis], "height_translations": y[:, tf.newaxis]}
    return layer.augment_images(images, numbers)


def cutout(images: tf.Tensor, x: tf.Tensor, y: tf.Tensor, size: int) -> tf.Tensor:
    """Blackens a square of `size` pixels centred on column `x` and row `y`, int32 [B] both."""
    side = tf.fill(tf.shape(x), size)
    numbers = {
        "centers_x": x,
        "centers_y": y,
        "rectangles_width": side,
        "rectangles_height": side,
    }
    layer = _layer("RandomCutout", height_factor=1.0, width_factor=1.0)
    return layer.augment_images(images, numbers)
