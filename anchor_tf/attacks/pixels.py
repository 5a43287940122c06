"""Whether images are what a threat and a model take: floats in the box, and all of them finite."""

import math

import numpy as np
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.threat import Threat

TOLERATED = 1e-3  # outside the box, in widths of it; a projection clips that


def check_call(model, images, start, threat: Threat) -> None:
    """`check_model` and `check` for what an attack is called with; `start` may be None."""
    check_model(model)
    check(images, threat)
    if start is not None:
        check(start, threat, "x_init")


def check(images, threat: Threat, name: str = "x") -> None:
    """Refuses pixels outside the threat's box.

    Only what is known is looked at: arrays, eager tensors and constants. What a graph computes is
    not, and is clipped to the box by the attack's first projection: check it where it is made.

    Args:
        images: an array or tensor of floats.
        threat: its box counts.
        name: what to call the images.

    Raises:
        UserError: a pixel is NaN, infinite, or outside the box by more than `TOLERATED` widths.
    """
    known = tf.get_static_value(images) if tf.is_tensor(images) else np.asarray(images)
    if known is None or not known.size:
        return
    problem = refusal(float(known.min()), float(known.max()), threat, name)
    if problem is not None:
        raise UserError(problem)


def refusal(lowest: float, highest: float, threat: Threat, name: str) -> str | None:
    """What is wrong with pixels of such a range, if anything; NaN where one of them is."""
    low, high = float(threat.low), float(threat.high)
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        return f"{name}: some pixels are NaN or infinite"
    slack = TOLERATED * threat.width
    if low - slack <= lowest and highest <= high + slack:
        return None
    return (
        f"{name}: pixels range from {lowest:.4g} to {highest:.4g}, but the threat's box is "
        f"[{low:g}, {high:g}]: {_hint(lowest, highest)}"
    )


def check_model(model) -> None:
    """Refuses a Keras model whose input is no float: it has no gradient, and pixels are cut."""
    for tensor in getattr(model, "inputs", None) or ():
        dtype = tf.as_dtype(getattr(tensor, "dtype", "float32"))
        if not dtype.is_floating:
            raise UserError(
                f"the model takes {dtype.name}: rebuild it with keras.Input(..., dtype='float32'), "
                "and with a keras.layers.Rescaling if it expects 0..255"
            )


def _hint(lowest: float, highest: float) -> str:
    if lowest >= -0.5 and 2.0 < highest <= 256.0:
        return "divide them by 255, or name their box with Threat(..., low=0, high=255)"
    if lowest >= -1.01 and highest <= 1.01:
        return "name their box with Threat(..., low=-1, high=1), epsilon in the same units"
    return (
        "name their box with Threat(..., low=, high=), epsilon in the same units; where each "
        "channel has its mean taken off, give images in [0, 1] and begin the model with a "
        "keras.layers.Normalization"
    )
