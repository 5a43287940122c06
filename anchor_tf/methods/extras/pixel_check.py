"""Checks that the images of Keras' `fit` and `evaluate` lie in the threat's box."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from anchor_tf.attacks import pixels
from anchor_tf.errors import UserError
from anchor_tf.threat import Threat


@contextlib.contextmanager
def checked(data: Any, threat: Threat) -> Iterator[Any]:
    """Refuses images outside the threat's box.

    Arrays and tensors are looked at as a whole beforehand. Every batch of a `tf.data.Dataset`
    is looked at as it comes, beside the step, whose graph stays as it is; not so under a
    strategy of several replicas. Generators and other data sets are not looked at.

    Args:
        data: the argument x of `fit` or `evaluate`.
        threat: its box counts.

    Yields:
        What Keras is to be given in its place.

    Raises:
        UserError: images are no floats, or a pixel is NaN, infinite or outside the box.
    """
    if not isinstance(data, tf.data.Dataset):
        if isinstance(data, np.ndarray | list) or tf.is_tensor(data):
            images = data if tf.is_tensor(data) else np.asarray(data)
            _check_type(tf.as_dtype(images.dtype))
            pixels.check(images, threat)
        yield data
        return
    _check_type(_images_of(data.element_spec).dtype)
    if tf.distribute.has_strategy():
        yield data
        return
    found = []

    def look(lowest, highest):
        problem = pixels.refusal(float(lowest), float(highest), threat, "x")
        if problem is not None:
            found.append(problem)
            raise ValueError(problem)
        return lowest

    def looked_at(*element):
        images = _images_of(element if len(element) > 1 else element[0])
        # A sum is NaN where a pixel is; the minimum need not be.
        nan = 0.0 * tf.reduce_sum(images)
        extremes = (tf.reduce_min(images) + nan, tf.reduce_max(images) + nan)
        tf.numpy_function(look, extremes, images.dtype)
        return element if len(element) > 1 else element[0]

    try:
        yield data.map(looked_at)
    except tf.errors.OpError as error:
        if found:
            raise UserError(found[0]) from error
        raise


def _images_of(element: Any):
    """The images of an element as `Batch.of` takes it, or of its specification."""
    if isinstance(element, dict):
        return element["images"]
    return element[0] if isinstance(element, tuple | list) else element


def _check_type(dtype: tf.DType) -> None:
    if not dtype.is_floating:
        raise UserError(f"x holds {dtype.name}: images should be floats in the threat's box")
