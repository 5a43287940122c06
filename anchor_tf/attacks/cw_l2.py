"""CW-L2: the Carlini-Wagner search for the smallest perturbation in L2 that is misclassified."""

from typing import NamedTuple

import tensorflow as tf

from anchor_tf.attacks.ascent import finite_gradient
from anchor_tf.attacks.inputs import per_image, takes_arrays
from anchor_tf.errors import UserError
from anchor_tf.losses.classification import margin

# Adam's decay rates and the number that keeps its division finite, as published.
_FIRST_DECAY, _SECOND_DECAY, _TINY = 0.9, 0.999, 1e-8
# Where black and white pixels begin in tanh space: at the very edge they would lie at infinity.
_EDGE = 1.0 - 1e-3


class _Best(NamedTuple):
    """The best image so far of each example: the nearest success, else the nearest to one.

    Attributes:
        images: float32 [B, ...].
        distance: squared L2 distance of a success in widths of the box, infinity where there is
            none; [B].
        margin: largest margin seen, [B].
    """

    images: tf.Tensor
    distance: tf.Tensor
    margin: tf.Tensor


class _Bracket(NamedTuple):
    """The constant c of each example, [B], and the bounds that bisection has found for it."""

    constant: tf.Tensor
    lower: tf.Tensor
    upper: tf.Tensor


FACTS = {"returned": "nearest misclassified image", "access": "gradients"}


@takes_arrays
def cw_l2(
    logits_fn,
    x,
    y,
    threat,
    seed=0,
    x_init=None,
    *,
    binary_search_steps: int = 9,
    steps: int = 200,
    learning_rate: float = 0.01,
    initial_constant: float = 1e-3,
    kappa: float = 0.0,
):
    """Minimises |x' - x|_2^2 + c max(z_y - max_{i != y} z_i + kappa, 0) over images in the box.

    Source: Carlini and Wagner 2017, "Towards Evaluating the Robustness of Neural Networks", in
    its untargeted form: the box is left behind by x' = tanh(w), Adam minimises over w, and each
    example's c is multiplied by 10 until it succeeds, then bisected. The smallest perturbation
    met on the way whose margin max_{i != y} z_i - z_y exceeds kappa is kept; an image that has
    such a margin to begin with is returned as it is. The distance is measured in widths of the
    box, so that images in [0, 255] are attacked like those in [0, 1]. Two departures from the
    authors' code: no descent is given up early, as that would let an example depend on its
    batch; and black and white pixels begin 5e-4 inside the box, not 5e-7, where the slope of tanh
    is so small that hundreds of iterations hardly move them.

    The threat's radius plays no part in the search: an example is broken if the distance found
    is at most epsilon. The distance is L2 whatever the threat's norm. Under an L-inf threat the
    result is merely projected, which makes for a weak attack: use it with L2.

    Args:
        logits_fn: images [B, ...] -> logits [B, K].
        x: clean images, float32 [B, ...] within the threat's box.
        y: labels, integers [B].
        threat: `Threat`: norm, radius and box.
        seed: not used: the attack draws nothing.
        x_init: where every descent begins; x by default.
        binary_search_steps: values of c to try, at least 1.
        steps: iterates of Adam for each of them, at least 1.
        learning_rate: of Adam, in units of w, above 0.
        initial_constant: first value of c, above 0.
        kappa: how far past the boundary a success must be, in logit units; at least 0.

    Returns:
        Adversarial images, shaped like x: the best one where it lies inside the threat, else its
        projection, which is hardly ever misclassified.

    Raises:
        UserError: an argument out of its range.
    """
    del seed
    if binary_search_steps < 1 or steps < 1 or kappa < 0:
        raise UserError("binary_search_steps and steps must be at least 1, kappa at least 0")
    if learning_rate <= 0 or initial_constant <= 0:
        raise UserError("learning_rate and initial_constant must be above 0")
    start = _to_tanh_space(x if x_init is None else x_init, threat)
    ones = tf.ones(tf.shape(y))
    nearest = tf.where(margin(logits_fn(x), y) > kappa, 0.0, float("inf"))

    def search(count, bracket, best):
        reached, best = _descend(
            logits_fn, x, y, threat, start, bracket.constant, best, steps, learning_rate, kappa
        )
        return count + 1, _narrowed(bracket, reached), best

    _, _, best = tf.while_loop(
        lambda count, *_: count < binary_search_steps,
        search,
        (
            tf.constant(0),
            _Bracket(initial_constant * ones, 0.0 * ones, float("inf") * ones),
            _Best(x, nearest, -float("inf") * ones),
        ),
        maximum_iterations=binary_search_steps,
        parallel_iterations=1,
    )
    inside = per_image(threat.distance(best.images, x) <= threat.epsilon, x)
    return tf.stop_gradient(tf.where(inside, best.images, threat.project(best.images, x)))


def passes(*, binary_search_steps, steps, **_) -> tuple[int, int]:
    """Forward passes and gradients for an image, whether it withstands `cw_l2` or not."""
    return 1, binary_search_steps * steps


def _descend(logits_fn, x, y, threat, start, constant, best, steps, learning_rate, kappa):
    """Runs Adam from `start` with one c for each example; returns who succeeded, and the best."""

    def step(count, free, first, second, reached, best):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(free)
            images = _from_tanh_space(free, threat)
            gap = margin(logits_fn(images), y)
            shift = (images - x) / threat.width
            distance = tf.reduce_sum(shift**2, axis=list(range(1, x.shape.rank)))
            total = tf.reduce_sum(distance + constant * tf.nn.relu(kappa - gap))
        gradient = finite_gradient(tape, total, free)
        success = gap > kappa
        best = _better(best, images, distance, gap, success)
        first = _FIRST_DECAY * first + (1.0 - _FIRST_DECAY) * gradient
        second = _SECOND_DECAY * second + (1.0 - _SECOND_DECAY) * gradient**2
        power = tf.cast(count + 1, tf.float32)
        mean = first / (1.0 - _FIRST_DECAY**power)
        deviation = tf.sqrt(second / (1.0 - _SECOND_DECAY**power))
        free -= learning_rate * mean / (deviation + _TINY)
        return count + 1, free, first, second, reached | success, best

    nothing = tf.zeros_like(start)
    nobody = tf.zeros(tf.shape(y), tf.bool)
    *_, reached, best = tf.while_loop(
        lambda count, *_: count < steps,
        step,
        (tf.constant(0), start, nothing, nothing, nobody, best),
        maximum_iterations=steps,
        parallel_iterations=1,
    )
    return reached, best


def _better(best: _Best, images, distance, gap, success) -> _Best:
    """Updates the best images: a nearer success, or before the first one a larger margin."""
    failed_so_far = tf.math.is_inf(best.distance)
    replace = tf.where(success, distance < best.distance, failed_so_far & (gap > best.margin))
    return _Best(
        tf.where(per_image(replace, images), images, best.images),
        tf.where(success & replace, distance, best.distance),
        tf.where(gap > best.margin, gap, best.margin),  # a NaN is no margin
    )


def _narrowed(bracket: _Bracket, reached) -> _Bracket:
    """The next c: halfway between failure and success, or ten times as large before a success."""
    constant, lower, upper = bracket
    upper = tf.where(reached, tf.minimum(upper, constant), upper)
    lower = tf.where(reached, lower, tf.maximum(lower, constant))
    middle = (lower + upper) / 2.0
    return _Bracket(tf.where(tf.math.is_inf(upper), 10.0 * constant, middle), lower, upper)


def _to_tanh_space(images, threat):
    share = (images - threat.low) / threat.width
    return tf.atanh(tf.clip_by_value(2.0 * share - 1.0, -_EDGE, _EDGE))


def _from_tanh_space(free, threat):
    share = (tf.tanh(free) + 1.0) / 2.0
    images = threat.low + share * threat.width
    return tf.clip_by_value(images, threat.low, threat.high)
