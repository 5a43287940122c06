"""Images, labels and model: whether they fit together, and the images as networks take them.

Each check raises UserError where they do not.
"""

import numpy as np

from anchor_tf.errors import UserError
from anchor_tf.models import model_file


def check_data(images, labels, indices, batch_size) -> None:
    """Images uint8 or floats in [0, 1], [N, H, W, C]; labels int32 from 0 and indices, [N]."""
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
    if images.dtype != np.uint8 and not (images.min() >= 0.0 and images.max() <= 1.0):
        raise UserError("images should be uint8, or floats in [0, 1]")
    if labels.min() < 0:
        raise UserError("labels should be integers from 0")


def check_input(model, images) -> None:
    """A model that says which images it takes takes these, in batches of any size."""
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


def as_floats(images: np.ndarray) -> np.ndarray:
    """Images of uint8, or floats in [0, 1], as float32 in [0, 1]."""
    scale = np.float32(255.0 if images.dtype == np.uint8 else 1.0)
    return images.astype(np.float32) / scale
