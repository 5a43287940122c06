"""The networks that ship with Keras, untrained."""

import inspect

import keras

from anchor_tf import choices
from anchor_tf.backbones.layers import MOMENTUM, image_input
from anchor_tf.errors import UserError


def keras_applications(
    image_shape, mean, deviation, *, name: str, image_size: int | None = None
) -> keras.Model:
    """Any network of keras.applications by its name, EfficientNetB0 or MobileNetV2 for example.

    Weights are random, the classifier is left off, features are the mean over the pixels. Images
    are normalised as for the other backbones; what the network would do to its input itself is
    switched off or undone. Batch normalisation has the momentum .9. These networks shrink their
    input 32-fold: small images need `image_size`.

    Args:
        image_shape: (height, width, channels).
        mean: channel means of the training images, in [0, 1] units.
        deviation: channel standard deviations.
        name: of the network, in capitals or not.
        image_size: side to which images are resized, bilinearly and inside the model, so that
            attacks see the original pixels; as they are if None.

    Returns:
        A model from images [B, H, W, C] in [0, 1] to features [B, F].

    Raises:
        UserError: an unknown name, or images that the network does not take.
    """
    build = _known(name)
    if image_size is not None and image_size < 1:
        raise UserError(
            f"backbone keras_applications: image_size={image_size} should be at least 1"
        )
    images, tensor = image_input(image_shape, mean, deviation)
    if image_size is not None:
        tensor = keras.layers.Resizing(image_size, image_size, interpolation="bilinear")(tensor)
    if build.__name__.startswith("EfficientNetB"):
        # The first EfficientNets divide by 255 themselves and cannot be told not to.
        tensor = keras.layers.Rescaling(255.0)(tensor)
    network = _network(build, tuple(tensor.shape[1:]))
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = MOMENTUM
    return keras.Model(images, network(tensor), name="backbone")


def _known(name: str):
    """The function that builds a network."""
    networks = {
        one: build for one, build in vars(keras.applications).items() if inspect.isfunction(build)
    }
    for one, build in networks.items():
        if one.lower() == name.lower():
            return build
    raise UserError(
        f"backbone keras_applications: unknown network {name!r}: "
        f"{choices.nearest(name, sorted(networks))}"
    )


def _network(build, input_shape) -> keras.Model:
    options = {"include_top": False, "weights": None, "pooling": "avg", "input_shape": input_shape}
    if "include_preprocessing" in inspect.signature(build).parameters:
        options["include_preprocessing"] = False
    try:
        return build(**options)
    except ValueError as error:
        height, width, _ = input_shape
        reason = str(error).splitlines()[0].partition(";")[0]
        raise UserError(
            f"backbone keras_applications: {build.__name__} does not take images of "
            f"{height}x{width} ({reason}): give image_size=, 224 for example"
        ) from error
