"""ResNet-18, 34 and 50 with the CIFAR stem."""

from typing import Literal

import keras

from anchor_tf import choices
from anchor_tf.backbones.layers import convolution, image_input
from anchor_tf.errors import UserError

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


def resnet(
    image_shape, mean, deviation, *, depth: Literal[18, 34, 50] = 18, width: int = 64
) -> keras.Model:
    """A residual network for small images, the "modified ResNet" of the robustness literature.

    Source: He et al. 2016, "Deep Residual Learning for Image Recognition"; the stem is one 3x3
    convolution of stride 1 without max pooling, so that a 32x32 image reaches the last stage as
    4x4. ResNet-50 has bottleneck blocks, stride in the 3x3 convolution.

    Args:
        image_shape: (height, width, channels).
        mean: channel means of the training images, in [0, 1] units.
        deviation: channel standard deviations.
        depth: 18, 34 or 50 layers.
        width: filters of the first stage; 64 is the published network.

    Returns:
        A model from images [B, H, W, C] in [0, 1] to features [B, 8 width], 32 width for depth 50.

    Raises:
        UserError: width below 1, or another depth.
    """
    choices.check("depth", depth, _BLOCKS, "backbone resnet")
    if width < 1:
        raise UserError(f"backbone resnet: width={width} should be at least 1")
    block = _bottleneck if depth == 50 else _basic
    images, tensor = image_input(image_shape, mean, deviation)
    tensor = convolution(tensor, width)
    for stage, count in enumerate(_BLOCKS[depth]):
        for position in range(count):
            strides = 2 if stage > 0 and position == 0 else 1
            tensor = block(tensor, width * 2**stage, strides)
    tensor = keras.layers.GlobalAveragePooling2D()(tensor)
    return keras.Model(images, tensor, name="backbone")


def _basic(tensor, filters: int, strides: int):
    residual = convolution(tensor, filters, strides=strides)
    residual = convolution(residual, filters, relu=False)
    return _add(tensor, residual, strides)


def _bottleneck(tensor, filters: int, strides: int):
    residual = convolution(tensor, filters, kernel_size=1)
    residual = convolution(residual, filters, strides=strides)
    residual = convolution(residual, 4 * filters, kernel_size=1, relu=False)
    return _add(tensor, residual, strides)


def _add(shortcut, residual, strides: int):
    """Adds the shortcut, through a 1x1 convolution where the shape changes, and applies a ReLU."""
    filters = residual.shape[-1]
    if strides > 1 or shortcut.shape[-1] != filters:
        shortcut = convolution(shortcut, filters, kernel_size=1, strides=strides, relu=False)
    return keras.layers.ReLU()(keras.layers.Add()([shortcut, residual]))
