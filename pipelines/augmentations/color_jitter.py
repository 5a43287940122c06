"""Random brightness, contrast, saturation and hue, and now and then no colour at all."""

import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.errors import UserError
from anchor_tf.pipelines.augmentations import keras_cv_layers


def color_jitter(
    images: tf.Tensor,
    keys: tf.Tensor,
    *,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.1,
    probability: float = 0.8,
    grey: float = 0.0,
) -> tf.Tensor:
    """Shifts brightness, then scales contrast and saturation, then turns the hue, each at random.

    Grey images have neither saturation nor hue: for them only the first two happen. SimCLR's
    recipe for CIFAR (Chen et al. 2020) is the defaults with grey=.2.

    Args:
        images: float32 [B, H, W, C] in [0, 1].
        keys: uint32 [B, 3].
        brightness: in [0, 1]; a number from [-brightness, brightness] is added to all pixels.
        contrast: in [0, 1]; contrast is multiplied by a number from [1 - contrast, 1 + contrast].
        saturation: in [0, 1]; likewise.
        hue: in [0, 1/2]; hue is turned by a number from [-hue, hue] of the whole circle.
        probability: in [0, 1]; how likely an image is to be jittered at all.
        grey: in [0, 1]; how likely it is made grey, jittered or not.

    Returns:
        float32 [B, H, W, C] in [0, 1].

    Raises:
        UserError: an argument is out of range.
    """
    shares = (brightness, contrast, saturation, probability, grey)
    if min(*shares, hue) < 0 or max(shares) > 1 or hue > 0.5:
        raise UserError(
            "color_jitter: brightness, contrast, saturation, probability and grey should be in "
            "[0, 1], hue in [0, 0.5]"
        )
    keys = keyed_random.fold(keys, "color_jitter")
    draws = keyed_random.uniform(keys, [5], -1.0, 1.0)
    for_brightness, for_contrast, for_saturation, for_hue, for_choice = tf.unstack(draws, axis=1)
    changed = keras_cv_layers.brightness(images, brightness * for_brightness)
    changed = keras_cv_layers.contrast(changed, 1.0 + contrast * for_contrast)
    if images.shape[-1] == 3:
        changed = keras_cv_layers.saturation(changed, 1.0 + saturation * for_saturation)
        changed = keras_cv_layers.hue(changed, hue * for_hue)
    chosen = for_choice[:, tf.newaxis, tf.newaxis, tf.newaxis] < 2.0 * probability - 1.0
    changed = tf.where(chosen, tf.clip_by_value(changed, 0.0, 1.0), images)
    if grey == 0.0 or images.shape[-1] == 1:
        return changed
    made_grey = keyed_random.uniform(keyed_random.fold(keys, "grey"), [1, 1, 1]) < grey
    colourless = keras_cv_layers.grey(changed, tf.ones_like(for_choice))
    return tf.where(made_grey, tf.clip_by_value(colourless, 0.0, 1.0), changed)
