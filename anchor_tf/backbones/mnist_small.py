"""A convolutional network for MNIST-sized images, twice as wide at its end as `small`."""

import keras

from anchor_tf.backbones.layers import convolution, image_input
from anchor_tf.errors import UserError


def mnist_small(image_shape, mean, deviation, *, width: int = 16) -> keras.Model:
    """Five 3x3 convolutions, the second and fourth of stride 2, and a dense layer.

    Args:
        image_shape: (height, width, channels).
        mean: channel means of the training images, in [0, 1] units.
        deviation: channel standard deviations.
        width: filters of the first convolution.

    Returns:
        A model from images [B, H, W, C] in [0, 1] to features [B, 16 width].

    Raises:
        UserError: width below 1.
    """
    if width < 1:
        raise UserError(f"backbone mnist_small: width={width} should be at least 1")
    images, tensor = image_input(image_shape, mean, deviation)
    tensor = convolution(tensor, width)
    tensor = convolution(tensor, 2 * width, strides=2)
    tensor = convolution(tensor, 2 * width)
    tensor = convolution(tensor, 4 * width, strides=2)
    tensor = convolution(tensor, 4 * width)
    tensor = keras.layers.Flatten()(tensor)
    tensor = keras.layers.Dense(16 * width, activation="relu", kernel_initializer="he_normal")(
        tensor
    )
    return keras.Model(images, tensor, name="backbone")
