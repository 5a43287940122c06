"""ResNet-18 with pre-activation and the CIFAR stem."""

import keras

from anchor_tf.backbones.layers import (
    activated,
    image_input,
    plain_convolution,
    preactivation_block,
)
from anchor_tf.errors import UserError


def preact_resnet(image_shape, mean, deviation, *, width: int = 64) -> keras.Model:
    """The pre-activation ResNet-18 of fast adversarial training and of robust overfitting.

    A 3x3 convolution of stride 1, four stages of two blocks, batch normalisation and ReLU before
    the mean over the pixels.

    Source: He et al. 2016, "Identity Mappings in Deep Residual Networks"; the network of Rice,
    Wong and Kolter 2020, "Overfitting in Adversarially Robust Deep Learning".

    Args:
        image_shape: (height, width, channels).
        mean: channel means of the training images, in [0, 1] units.
        deviation: channel standard deviations.
        width: filters of the first stage; 64 is the published network.

    Returns:
        A model from images [B, H, W, C] in [0, 1] to features [B, 8 width].

    Raises:
        UserError: width below 1.
    """
    if width < 1:
        raise UserError(f"backbone preact_resnet: width={width} should be at least 1")
    images, tensor = image_input(image_shape, mean, deviation)
    tensor = plain_convolution(tensor, width)
    for stage in range(4):
        for position in range(2):
            strides = 2 if stage > 0 and position == 0 else 1
            tensor = preactivation_block(tensor, width * 2**stage, strides)
    tensor = keras.layers.GlobalAveragePooling2D()(activated(tensor))
    return keras.Model(images, tensor, name="backbone")
