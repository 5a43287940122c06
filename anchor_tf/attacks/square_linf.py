"""The Square attack's moves in L-inf: stripes, then windows of one colour."""

import math

import numpy as np
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.attacks import square_windows
from anchor_tf.threat import Threat

SMALLEST = 1  # height and width


def side(share: float, height: int, width: int) -> int:
    """Rows and columns of a window that covers this share of the image."""
    return min(max(round(math.sqrt(share * height * width)), 1), height, width)


def start(x: tf.Tensor, threat: Threat, keys: tf.Tensor) -> tf.Tensor:
    """Images [B, H, W, C] plus or minus epsilon, one sign for each column and channel."""
    _, _, width, channels = x.shape
    uniform = keyed_random.uniform(keyed_random.fold(keys, "stripes"), [1, width, channels])
    stripes = threat.epsilon * square_windows.signs(uniform)
    return tf.clip_by_value(x + stripes, threat.low, threat.high)


def proposals(
    x: tf.Tensor, threat: Threat, keys: tf.Tensor, numbers: tf.Tensor, schedule: np.ndarray
):
    """The candidates of a stretch of Q queries.

    Args:
        x: clean images, float32 [B, H, W, C].
        threat: radius and box.
        keys: uint32 [B, 3].
        numbers: the queries, int32 [Q].
        schedule: the side of every query's window, int32 [queries].

    Returns:
        A function of a place in the stretch and the images so far to the images to try.
    """
    uniform = square_windows.draws(keys, numbers, 2 + x.shape[-1])
    windows = square_windows.places(uniform[..., :2], numbers, schedule, x)
    colours = 2.0 * threat.epsilon * square_windows.signs(uniform[..., 2:])
    lowest = tf.maximum(x - threat.epsilon, threat.low)
    highest = tf.minimum(x + threat.epsilon, threat.high)

    def propose(place, images):
        colour = colours[place][:, tf.newaxis, tf.newaxis]
        return tf.clip_by_value(images + windows(place).mask * colour, lowest, highest)

    return propose
