"""Wide residual networks, WRN-depth-width."""

import keras

from anchor_tf.backbones.layers import (
    activated,
    image_input,
    plain_convolution,
    preactivation_block,
)
from anchor_tf.errors import UserError


def wide_resnet(image_shape, mean, deviation, *, depth: int = 28, width: int = 10) -> keras.Model:
    """A wide residual network with pre-activation: WRN-28-10, WRN-34-10, WRN-70-16, ...

    A 3x3 convolution to 16 channels, three stages of (depth - 4) / 6 blocks with 16, 32 and 64
    times `width` channels, batch normalisation, ReLU and mean over the pixels; no dropout.

    Source: Zagoruyko and Komodakis 2016, "Wide Residual Networks".

    Args:
        image_shape: (height, width, channels).
        mean: channel means of the training images, in [0, 1] units.
        deviation: channel standard deviations.
        depth: number of layers, 6 n + 4.
        width: factor on the channels; 10 in WRN-28-10.

    Returns:
        A model from images [B, H, W, C] in [0, 1] to features [B, 64 width].

    Raises:
        UserError: a depth that is not 6 n + 4 with n of at least 1, or a width below 1.
    """
    blocks, rest = divmod(depth - 4, 6)
    if rest or blocks < 1:
        below = 6 * max(1, blocks) + 4
        raise UserError(
            f"backbone wide_resnet: depth={depth} should be 6 n + 4, {below} or {below + 6} "
            "for example"
        )
    if width < 1:
        raise UserError(f"backbone wide_resnet: width={width} should be at least 1")
    images, tensor = image_input(image_shape, mean, deviation)
    tensor = plain_convolution(tensor, 16)
    for stage in range(3):
        for position in range(blocks):
            strides = 2 if stage > 0 and position == 0 else 1
            tensor = preactivation_block(tensor, 16 * width * 2**stage, strides)
    tensor = keras.layers.GlobalAveragePooling2D()(activated(tensor))
    return keras.Model(images, tensor, name="backbone")
