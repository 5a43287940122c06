"""The Square attack's moves in L2: bumps of opposite sign, and mass moved between windows."""

import math

import numpy as np
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.attacks import square_windows
from anchor_tf.threat import Threat

SMALLEST = 3  # height and width
_TINY = 1e-12  # keeps quotients of vanishing norms finite


def side(share: float, height: int, width: int) -> int:
    """Rows and columns of a window that covers about this share: odd, at least 3."""
    rounded = max(round(math.sqrt(share * height * width)), 3)
    largest = min(height, width)
    return min(rounded + 1 - rounded % 2, largest - 1 + largest % 2)


def bump(size: int) -> np.ndarray:
    """A positive upper and a negative lower half, each peaked, of unit norm: float32 [size, size].

    A half is the sum of concentric squares around its centre, of sides 1, 3, 5, ..., cut to the
    half and weighted 1, 1/4, 1/9, ..., itself scaled to unit norm.
    """
    upper, lower = _peak(size // 2, size), -_peak(size - size // 2, size)
    whole = np.concatenate([upper, lower])
    return (whole / np.linalg.norm(whole)).astype(np.float32)


def start(x: tf.Tensor, threat: Threat, keys: tf.Tensor) -> tf.Tensor:
    """Images [B, H, W, C] plus a grid of bumps, five by five or as many as fit, of norm epsilon."""
    _, height, width, channels = x.shape
    size = max(min(height, width) // 5, 1)
    above, before = max((height - 5 * size) // 2, 0), max((width - 5 * size) // 2, 0)
    rows, columns = (height - above) // size, (width - before) // size
    uniform = keyed_random.uniform(
        keyed_random.fold(keys, "tiles"), [rows, 1, columns, 1, channels + 1]
    )
    upright = bump(size)[np.newaxis, :, np.newaxis, :, np.newaxis]
    lying = bump(size).T[np.newaxis, :, np.newaxis, :, np.newaxis]
    tiles = tf.where(uniform[..., :1] < 0.5, upright, lying)
    tiles *= square_windows.signs(uniform[..., 1:])
    tiles = tf.reshape(tiles, [-1, rows * size, columns * size, channels])
    below, after = height - above - rows * size, width - before - columns * size
    delta = tf.pad(tiles, [[0, 0], [above, below], [before, after], [0, 0]])
    return _on_sphere(x, delta, threat)


def proposals(
    x: tf.Tensor, threat: Threat, keys: tf.Tensor, numbers: tf.Tensor, schedule: np.ndarray
):
    """The candidates of a stretch of Q queries.

    A query adds a bump to the direction of the first window's perturbation, empties the second
    window and gives the first, in every channel, the norm of both together and what clipping to
    the box had cost; the whole is then scaled to norm epsilon.

    Args:
        x: clean images, float32 [B, H, W, C].
        threat: radius and box.
        keys: uint32 [B, 3].
        numbers: the queries, int32 [Q].
        schedule: the side of every query's window, int32 [queries].

    Returns:
        A function of a place in the stretch and the images so far to the images to try.
    """
    channels = x.shape[-1]
    uniform = square_windows.draws(keys, numbers, 5 + channels)
    first = square_windows.places(uniform[..., 0:2], numbers, schedule, x)
    second = square_windows.places(uniform[..., 2:4], numbers, schedule, x)
    lying = uniform[..., 4] >= 0.5
    signs = square_windows.signs(uniform[..., 5:])
    bumps, kinds = _bumps(schedule)
    kinds = square_windows.at(kinds, numbers)

    def propose(place, images):
        delta = images - x
        window, other = first(place), second(place)
        shape = _placed(bumps[kinds[place]], window, lying[place])
        direction = _unit(window.mask * delta, [1, 2])
        blend = shape * signs[place][:, tf.newaxis, tf.newaxis] + direction
        lost = tf.maximum(threat.epsilon**2 - _square(delta, [1, 2, 3]), 0.0) / channels
        kept = (1.0 - tf.maximum(window.mask, other.mask)) * delta
        mass = _square(delta - kept, [1, 2, 3])
        return _on_sphere(x, kept + tf.sqrt(lost + mass) * _unit(blend, [1, 2]), threat)

    return propose


def _peak(height: int, width: int) -> np.ndarray:
    """Concentric squares around (height // 2, width // 2), summed and scaled to unit norm."""
    down = np.abs(np.arange(height) - height // 2)[:, np.newaxis]
    across = np.abs(np.arange(width) - width // 2)
    weights = 1.0 / np.arange(1, max(height, width) // 2 + 2) ** 2
    # A pixel lies in all squares but those whose radius is below its distance from the centre.
    peak = np.cumsum(weights[::-1])[::-1][np.maximum(down, across)]
    return peak / np.linalg.norm(peak) if height else peak


def _bumps(schedule: np.ndarray) -> tuple[tf.Tensor, np.ndarray]:
    """The bumps of all sides, padded to the largest, [K, S, S]; and which each query uses."""
    sides, kinds = np.unique(schedule, return_inverse=True)
    largest = sides[-1]
    padded = [np.pad(bump(size), [(0, largest - size)] * 2) for size in sides]
    return tf.constant(np.stack(padded)), kinds


def _placed(shape: tf.Tensor, window, lying: tf.Tensor) -> tf.Tensor:
    """A bump in each example's window, zero elsewhere: [B, H, W, 1].

    Args:
        shape: the bump, padded, [S, S].
        window: where.
        lying: whether its halves lie side by side, bool [B].
    """
    size = shape.shape[0]
    per_row, per_column = tf.where(lying, 1, size), tf.where(lying, size, 1)
    down = (per_row[:, tf.newaxis] * window.down)[:, :, tf.newaxis, tf.newaxis]
    right = (per_column[:, tf.newaxis] * window.right)[:, tf.newaxis, :, tf.newaxis]
    index = tf.clip_by_value(down + right, 0, size**2 - 1)  # any entry will do outside the window
    return window.mask * tf.gather(tf.reshape(shape, [-1]), index)


def _on_sphere(x: tf.Tensor, delta: tf.Tensor, threat: Threat) -> tf.Tensor:
    """X plus delta scaled to norm epsilon, clipped to the box."""
    scaled = threat.epsilon * _unit(delta, [1, 2, 3])
    return tf.clip_by_value(x + scaled, threat.low, threat.high)


def _unit(delta: tf.Tensor, axes: list[int]) -> tf.Tensor:
    return delta / (tf.sqrt(_square(delta, axes)) + _TINY)


def _square(delta: tf.Tensor, axes: list[int]) -> tf.Tensor:
    return tf.reduce_sum(delta**2, axis=axes, keepdims=True)
