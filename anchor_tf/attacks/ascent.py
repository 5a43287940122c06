"""Projected gradient ascent, the loop that the gradient attacks share."""

from collections.abc import Callable

import tensorflow as tf

from anchor_tf.threat import Threat


def gradient_of(objective: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor) -> tf.Tensor:
    """Gradient of a per-example objective at images [B, ...], with respect to the images alone.

    The objective is summed, not averaged, so that an example's gradient does not depend on its
    batch. Variables are not watched: no weight gradient is computed. Where the objective does not
    depend on the images in a differentiable way the gradient is zero. It is always finite, so that
    a network whose logits overflow leads no iterate astray.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        total = tf.reduce_sum(objective(images))
    return finite_gradient(tape, total, images)


def finite_gradient(tape: tf.GradientTape, total: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Gradient of what a tape has recorded: zero for NaN, the largest number for infinity."""
    gradient = tape.gradient(total, images, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    gradient = tf.where(tf.math.is_nan(gradient), 0.0, gradient)
    return tf.clip_by_value(gradient, gradient.dtype.min, gradient.dtype.max)


def ascend(
    objective: Callable[[tf.Tensor], tf.Tensor],
    images: tf.Tensor,
    start: tf.Tensor,
    threat: Threat,
    steps: int,
    step_size: float | tf.Tensor,
) -> tf.Tensor:
    """Takes `steps` steepest steps that raise the objective, each projected onto the threat.

    Args:
        objective: images [B, ...] -> float32 [B].
        images: the clean images, centre of the ball.
        start: where the ascent begins.
        threat: norm, radius and box.
        steps: number of steps.
        step_size: length of a step in the threat's norm.

    Returns:
        The last iterate, [B, ...], with no gradient flowing through it.
    """

    def step(count, current):
        direction = threat.steepest(gradient_of(objective, current))
        return count + 1, threat.project(current + step_size * direction, images)

    _, result = tf.while_loop(
        lambda count, _: count < steps,
        step,
        (tf.constant(0), start),
        maximum_iterations=steps,
        parallel_iterations=1,
    )
    return tf.stop_gradient(result)


def default_step_size(threat: Threat, steps: int):
    """2.5 epsilon / steps: enough to cross the ball, for 10 steps at 8/255 the usual 2/255."""
    return 2.5 * threat.epsilon / max(steps, 1)
