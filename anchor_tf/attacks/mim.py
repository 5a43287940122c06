"""MIM: the momentum iterative method."""

import tensorflow as tf

from anchor_tf.attacks.ascent import gradient_of
from anchor_tf.attacks.inputs import takes_arrays
from anchor_tf.errors import UserError
from anchor_tf.losses.classification import cross_entropy

FACTS = {"random_start": False, "returned": "last iterate", "access": "gradients"}


@takes_arrays
def mim(
    logits_fn,
    x,
    y,
    threat,
    seed=0,
    x_init=None,
    *,
    steps: int = 10,
    step_size: float | None = None,
    decay: float = 1.0,
):
    """Steepest steps along g = decay g + gradient / |gradient|_1, from the clean image.

    Source: Dong et al. 2018, "Boosting Adversarial Attacks with Momentum", on the cross-entropy;
    |.|_1 is the sum over an image's pixels, per example. Implementations that divide by the mean
    scale every g alike and take the same steps.

    Args:
        logits_fn: images [B, ...] -> logits [B, K].
        x: clean images, float32 [B, ...] within the threat's box.
        y: labels, integers [B].
        threat: `Threat`: norm, radius and box.
        seed: not used: the attack draws nothing.
        x_init: starting point; x itself by default.
        steps: number of steps, at least 1.
        step_size: length of a step in the threat's norm; epsilon / steps by default, as published,
            not the 2.5 epsilon / steps of PGD.
        decay: what remains of the former g, at least 0; 0 gives plain iterated steps.

    Returns:
        Adversarial images, shaped like x, inside the threat: the last iterate.

    Raises:
        UserError: steps below 1, decay below 0, or a step_size that is not positive.
    """
    del seed
    if steps < 1 or decay < 0 or (step_size is not None and step_size <= 0):
        raise UserError("steps must be at least 1, decay at least 0, step_size above 0")
    size = default_step_size(threat, steps) if step_size is None else step_size
    axes = list(range(1, x.shape.rank))

    def step(count, current, momentum):
        gradient = gradient_of(lambda images: cross_entropy(logits_fn(images), y), current)
        length = tf.reduce_sum(tf.abs(gradient), axis=axes, keepdims=True)
        momentum = decay * momentum + tf.math.divide_no_nan(gradient, length)
        return count + 1, threat.project(current + size * threat.steepest(momentum), x), momentum

    start = x if x_init is None else threat.project(x_init, x)
    _, result, _ = tf.while_loop(
        lambda count, *_: count < steps,
        step,
        (tf.constant(0), start, tf.zeros_like(x)),
        maximum_iterations=steps,
        parallel_iterations=1,
    )
    return tf.stop_gradient(result)


def passes(*, steps, **_) -> tuple[int, int]:
    """Forward passes and gradients for an image that withstands `mim`."""
    return 0, steps


def default_step_size(threat, steps):
    """As published: the radius in equal parts."""
    return threat.epsilon / steps
