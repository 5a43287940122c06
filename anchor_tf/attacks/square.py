"""Square: the score-based attack that needs no gradient."""

import numpy as np
import tensorflow as tf

from anchor_tf.attacks import square_l2, square_linf
from anchor_tf.attacks.inputs import takes_arrays
from anchor_tf.attacks.run_rounds import Rounds, run
from anchor_tf.errors import UserError
from anchor_tf.losses.classification import margin

# Queries of one round: short beside the whole, so that broken examples leave early, and long
# beside the forward pass with which a round begins.
_STRETCH = 100
# After each of these queries the windows' share of the image halves.
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


FACTS = {"returned": "image of the largest margin", "access": "outputs"}


@takes_arrays
def square(
    logits_fn,
    x,
    y,
    threat,
    seed=0,
    x_init=None,
    *,
    queries: int = 5000,
    initial_fraction: float = 0.8,
):
    """Random search over square windows on the margin of the logits.

    L-inf: starts at vertical stripes of +-epsilon; a query moves a window by +-2 epsilon for each
    channel and cuts to the ball. L2: starts at tiles of bumps; a query adds a bump to one window
    and moves another's mass there. A change is kept where it raises the margin; a misclassified
    example changes no more. The windows cover `initial_fraction` of the image at first and half
    of it after 10, 50, 200, 500, 1000, 2000, 4000, 6000 and 8000 queries, whatever their total.

    Source: Andriushchenko et al. 2020, "Square Attack: a query-efficient black-box adversarial
    attack via random search", as AutoAttack runs it. As there, a window's place is drawn below
    size - side, so that the last row and column are reached by the start alone (in L-inf, unless
    the window is the image); unlike there, each example draws its own places and directions, none
    stops at a tie of two logits, and windows are no larger than the image's shorter side.

    Args:
        logits_fn: images [B, H, W, C] -> logits [B, K].
        x: clean images, float32 [B, H, W, C] within the threat's box; in L2 H and W at least 3.
        y: labels, integers [B].
        threat: `Threat`: norm, radius and box.
        seed: an integer, or keys uint32 [B, 3] that name each example (see `keyed_random`).
        x_init: starting point instead of the stripes or tiles.
        queries: how many changes to try, at least 1; the start takes one more forward pass.
        initial_fraction: share of the image in the first windows, in (0, 1].

    Returns:
        Adversarial images, shaped like x, inside the threat: those of the largest margin found.

    Raises:
        UserError: an argument out of its range, or images of another shape.
    """
    attack = rounds(queries=queries, initial_fraction=initial_fraction)
    return run(attack, logits_fn, x, y, threat, seed, x_init)


def rounds(*, queries, initial_fraction) -> Rounds:
    """Stretches of 100 queries of `square`, which explains the arguments.

    A round's number is its first query; it goes on from the former round's images.
    """
    if queries < 1 or not 0.0 < initial_fraction <= 1.0:
        raise UserError("square: queries must be at least 1, initial_fraction in (0, 1]")

    def attack(logits_fn, x, y, threat, keys, start, number):
        windows = square_linf if threat.norm == "linf" else square_l2
        _check(x, windows.SMALLEST)
        height, width = x.shape[1:3]
        sides = [windows.side(share, height, width) for share in shares(queries, initial_fraction)]
        numbers = number + tf.range(_STRETCH)
        propose = windows.proposals(x, threat, keys, numbers, np.array(sides))
        if start is None:
            start = windows.start(x, threat, keys)
        else:  # Projecting rounds: a stretch that goes on must find its images unchanged.
            start = tf.where(number > 0, start, threat.project(start, x))

        def query(place, best, largest):
            candidate = propose(place, best)
            found = margin(logits_fn(candidate), y)
            better = (largest <= 0.0) & (found > largest)
            best = tf.where(better[:, tf.newaxis, tf.newaxis, tf.newaxis], candidate, best)
            return place + 1, best, tf.where(better, found, largest)

        last = tf.minimum(queries - number, _STRETCH)
        _, result, _ = tf.while_loop(
            lambda place, _, largest: (place < last) & tf.reduce_any(largest <= 0.0),
            query,
            (tf.constant(0), start, margin(logits_fn(start), y)),
            maximum_iterations=_STRETCH,
            parallel_iterations=1,
        )
        return tf.stop_gradient(result)

    return Rounds(attack, range(0, queries, _STRETCH), carry=True)


def passes(*, queries, **_) -> tuple[int, int]:
    """Forward passes and gradients for an image that withstands `square`."""
    return queries + -(-queries // _STRETCH), 0


def shares(queries: int, initial_fraction: float) -> np.ndarray:
    """The share of the image that each query's window covers, float64 [queries]."""
    halvings = np.searchsorted(_HALVINGS, np.arange(queries), side="left")
    return initial_fraction / 2.0**halvings


def _check(x: tf.Tensor, smallest: int) -> None:
    if x.shape.rank != 4 or None in x.shape[1:].as_list() or min(x.shape[1:3]) < smallest:
        raise UserError(
            f"square needs images [B, H, W, C] with H and W at least {smallest}, not {x.shape}"
        )
