"""The attacks that training runs, on any objective: PGD, and a cheap single step."""

from collections.abc import Callable

import tensorflow as tf

from anchor_tf.attacks.ascent import ascend, default_step_size, gradient_of
from anchor_tf.threat import Threat

NOISE = 2.0  # radius of N-FGSM's noise, in epsilons


def pgd(
    objective: Callable[[tf.Tensor], tf.Tensor],
    images: tf.Tensor,
    threat: Threat,
    keys: tf.Tensor,
    steps: int,
    start: tf.Tensor | None = None,
) -> tf.Tensor:
    """Steps of 2.5 epsilon / steps from a uniform point of the ball, or from `start`.

    Args:
        objective: images [B, ...] -> float32 [B].
        images: float32 [B, ...], centre of the ball.
        threat: norm, radius and box.
        keys: uint32 [B, 3], of the random start.
        steps: number of steps.
        start: where to begin, [B, ...].

    Returns:
        The last iterate, [B, ...].
    """
    start = threat.random_start(images, keys) if start is None else threat.project(start, images)
    return ascend(objective, images, start, threat, steps, default_step_size(threat, steps))


def n_fgsm(
    objective: Callable[[tf.Tensor], tf.Tensor],
    images: tf.Tensor,
    threat: Threat,
    keys: tf.Tensor,
) -> tf.Tensor:
    """One step of length epsilon from noise of twice epsilon, cut to the box but not to the ball.

    The noise and the missing projection are what keeps training on a single step from overfitting
    to it. The result may lie up to 3 epsilon away, so this is no attack to evaluate with.

    Source: de Jorge et al. 2022, "Make Some Noise: Reliable and Efficient Single-Step Adversarial
    Training", with its k = 2 and alpha = epsilon.

    Args:
        objective: images [B, ...] -> float32 [B].
        images: float32 [B, ...].
        threat: norm, radius and box.
        keys: uint32 [B, 3], of the noise.

    Returns:
        Images [B, ...] in the box.
    """
    start = threat.random_start(images, keys, NOISE * threat.epsilon)
    moved = start + threat.epsilon * threat.steepest(gradient_of(objective, start))
    return tf.stop_gradient(tf.clip_by_value(moved, threat.low, threat.high))
