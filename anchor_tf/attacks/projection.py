"""The point of a hyperplane nearest to an image, within the box of valid pixels."""

import tensorflow as tf

# Weights this small beside the largest count as zero: their break point would overflow.
_NEGLIGIBLE = 1e-12


def step_to_hyperplane(
    points: tf.Tensor,
    weights: tf.Tensor,
    values: tf.Tensor,
    norm: str,
    low: float = 0.0,
    high: float = 1.0,
) -> tf.Tensor:
    """The smallest step d with value + <w, d> = 0 and low <= t + d <= high.

    The minimiser has the form d_i = -s sign(w_i) min(lambda u_i, room_i): s is the sign of the
    value, room_i the way from t_i to the bound it moves towards, u_i = 1 (L-inf) or |w_i| (L2).
    The value falls by sum_i |w_i| u_i min(lambda, room_i / u_i), which is piecewise linear in
    lambda with break points room_i / u_i; sorting these gives the lambda at which it reaches zero.

    Source: Croce and Hein 2020, "Minimally distorted Adversarial Examples with a Fast Adaptive
    Boundary Attack", which states the problem in terms of b = <w, t> - value. Given the value
    itself nothing is lost to cancellation; weights of any scale are fine.

    Args:
        points: t, float32 [B, D] in [low, high].
        weights: w, float32 [B, D], the hyperplane's normal.
        values: float32 [B], the affine function's value at t.
        norm: "linf" or "l2".
        low: smallest pixel value.
        high: largest pixel value.

    Returns:
        d, float32 [B, D]. Where the box does not reach the hyperplane, every coordinate with a
        weight goes to its bound; zero where all weights are.
    """
    largest = tf.reduce_max(tf.abs(weights), axis=1, keepdims=True)
    weights = tf.math.divide_no_nan(weights, largest)
    height = tf.math.divide_no_nan(tf.abs(values), largest[:, 0])
    direction = -tf.sign(weights) * tf.where(values >= 0.0, 1.0, -1.0)[:, tf.newaxis]
    room = tf.where(direction < 0.0, points - low, high - points)

    slopes = tf.abs(weights)
    slopes = tf.where(slopes < _NEGLIGIBLE, 0.0, slopes)
    speeds = tf.ones_like(slopes) if norm == "linf" else slopes
    breaks = tf.math.divide_no_nan(room, speeds)
    multiplier = _solve(breaks, slopes * speeds, height)[:, tf.newaxis]
    # The bound itself, not speed times break point, where a coordinate arrives there.
    length = tf.where(multiplier < breaks, multiplier * speeds, room)
    return tf.where(slopes > 0.0, direction * length, 0.0)


def _solve(breaks: tf.Tensor, slopes: tf.Tensor, height: tf.Tensor) -> tf.Tensor:
    """The lambda [B] with sum_i slope_i min(lambda, break_i) = height; infinite if there is none.

    Args:
        breaks: at least 0, float32 [B, D].
        slopes: at least 0, float32 [B, D].
        height: at least 0, float32 [B].
    """
    size = tf.shape(breaks)[1]
    breaks, order = tf.math.top_k(-breaks, size)
    breaks = -breaks
    slopes = tf.gather(slopes, order, batch_dims=1)
    # With lambda between the break points k - 1 and k, the coordinates before k contribute
    # `passed` and those from k on lambda times `remaining`. The latter is summed from the end:
    # as a difference of sums it would be lost to rounding.
    passed = tf.cumsum(slopes * breaks, axis=1, exclusive=True)
    remaining = tf.cumsum(slopes, axis=1, reverse=True)
    reached = passed + remaining * breaks
    place = tf.reduce_sum(tf.cast(reached < height[:, tf.newaxis], tf.int32), axis=1)
    inside = tf.minimum(place, size - 1)

    def pick(rows, index):
        return tf.gather(rows, index, batch_dims=1)

    solution = tf.math.divide_no_nan(height - pick(passed, inside), pick(remaining, inside))
    # Rounding must not carry lambda out of its segment, where another formula holds.
    before = tf.where(inside > 0, pick(breaks, tf.maximum(inside - 1, 0)), 0.0)
    solution = tf.clip_by_value(solution, before, pick(breaks, inside))
    return tf.where(place < size, solution, float("inf"))
