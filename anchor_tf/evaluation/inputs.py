"""Images, labels and model: whether they fit together, and the images as networks take them.

Each check raises UserError where they do not.
"""

import numpy as np

from anchor_tf.attacks import pixels
from anchor_tf.errors import UserError
from anchor_tf.models import model_file
from anchor_tf.threat import Threat


def check_data(images, labels, indices, batch_size, threat: Threat) -> None:
    """Images uint8 or floats in the threat's box, [N, H, W, C]; labels int32 from 0, [N].

    Indices are integers, [N].
    """
    if batch_size < 1:
        raise UserError(f"batch_size {batch_size} should be at least 1")
    if len(images) == 0:
        raise UserError("there are no images to evaluate")
    if images.ndim != 4 or labels.shape != images.shape[:1]:
        raise UserError(
            f"images should be [N, H, W, C] and labels [N], not {images.shape} and {labels.shape}"
        )
    if indices.shape != labels.shape:
        raise UserError(f"indices should be [{len(labels)}], not {indices.shape}")
    if images.dtype != np.uint8:
        if not np.issubdtype(images.dtype, np.floating):
            raise UserError(f"images should be uint8 or floats in the box, not {images.dtype}")
        pixels.check(images, threat, "images")
    if labels.min() < 0:
        raise UserError("labels should be integers from 0")


def check_input(model, images) -> None:
    """A model that says which images it takes takes these as floats, in batches of any size."""
    pixels.check_model(model)
    expected = model_file.image_shape(model)
    if expected is None:
        return
    same_rank = len(expected) == images.ndim
    if not same_rank or any(
        wanted not in (None, size)
        for wanted, size in zip(expected[1:], images.shape[1:], strict=True)
    ):
        raise UserError(f"the model takes images {expected[1:]}, the data has {images.shape[1:]}")
    if expected[0] is not None:
        raise UserError(f"the model takes batches of {expected[0]} alone: build it for any")


def as_floats(images: np.ndarray, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Images of uint8, or floats in a box, as float32 in the box.

    Black and white bytes become the box's bounds; floats beyond them are clipped.
    """
    if images.dtype != np.uint8:
        return np.clip(images.astype(np.float32), np.float32(low), np.float32(high))
    shares = images.astype(np.float32) / np.float32(255.0)
    if (low, high) == (0.0, 1.0):
        return shares
    wide = np.float32(low) + np.float32(high - low) * shares
    return np.clip(wide, np.float32(low), np.float32(high))
