"""Projected ascent with momentum that finds its own step sizes: the loop of APGD.

Source: Croce and Hein 2020, "Reliable Evaluation of Adversarial Robustness with an Ensemble of
Diverse Parameter-free Attacks", step for step as in the authors' code.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from anchor_tf.attacks.ascent import finite_gradient
from anchor_tf.attacks.inputs import per_image
from anchor_tf.losses.classification import margin

# Share of the former iterate's movement that the next one keeps.
_MOMENTUM = 0.25


class State(NamedTuple):
    """Where the ascent of each example stands; images and gradients [B, ...], the others [B].

    Attributes:
        images: the current iterate.
        former: the iterate before it.
        gradient: at the current iterate.
        best: the iterate of the highest loss so far.
        best_gradient: there.
        best_loss: there.
        adversarial: the last misclassified iterate.
        fooled: whether there was one.
        step_size: of the next step.
        loss: of the last iterate evaluated; 0 before the first step.
        rises: how often in this window an iterate had a higher loss than the one before.
        halved: whether the last checkpoint halved the step size; true before the first one.
        checked_loss: best loss at the last checkpoint.
    """

    images: tf.Tensor
    former: tf.Tensor
    gradient: tf.Tensor
    best: tf.Tensor
    best_gradient: tf.Tensor
    best_loss: tf.Tensor
    adversarial: tf.Tensor
    fooled: tf.Tensor
    step_size: tf.Tensor
    loss: tf.Tensor
    rises: tf.Tensor
    halved: tf.Tensor
    checked_loss: tf.Tensor


def ascend(evaluate: Callable, x: tf.Tensor, start: tf.Tensor, threat, steps: int, limit=None):
    """Takes the steps, each one forward and backward pass, and one more pass at the start.

    Args:
        evaluate: what `evaluation` returns.
        x: clean images [B, ...], centre of the ball.
        start: where to begin, inside the threat.
        threat: `Threat`.
        steps: on which the checkpoints depend.
        limit: how many of them to take, integer scalar; all by default.

    Returns:
        The last misclassified iterate, the start included, or where there is none the one of the
        highest loss; [B, ...].
    """
    ends = tf.constant(windows(steps))
    _, state = tf.while_loop(
        lambda place, _: place < (steps if limit is None else limit),
        lambda place, state: (place + 1, advance(state, place, ends[place], evaluate, x, threat)),
        (tf.constant(0), begin(evaluate, start, threat)),
        maximum_iterations=steps,
        parallel_iterations=1,
    )
    return _choose(state.fooled, state.adversarial, state.best)


def evaluation(logits_fn, losses, y, samples=1) -> Callable:
    """One forward and backward pass, as a function.

    Args:
        logits_fn: images [B, ...] -> logits [B, K].
        losses: logits [B, K] -> what is raised, [B].
        y: labels, integers [B].
        samples: passes, of which the gradients are averaged; loss and class are the last one's.

    Returns:
        images [B, ...] -> (loss [B], whether misclassified [B], gradient of the loss [B, ...]).
    """

    def once(images):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logits = logits_fn(images)
            loss = losses(logits)
            total = tf.reduce_sum(loss)
        return loss, margin(logits, y) > 0, finite_gradient(tape, total, images)

    def averaged(images):
        def again(count, loss, fooled, gradient):
            loss, fooled, new = once(images)
            return count + 1, loss, fooled, gradient + new / samples

        nothing = (tf.zeros(tf.shape(y)), tf.zeros(tf.shape(y), tf.bool), tf.zeros_like(images))
        _, *results = tf.while_loop(
            lambda count, *_: count < samples,
            again,
            (tf.constant(0), *nothing),
            maximum_iterations=samples,
            parallel_iterations=1,
        )
        return tuple(results)

    return once if samples == 1 else averaged


def windows(steps: int) -> list[int]:
    """For each step the length of the window that ends with it, at a checkpoint; else 0.

    Windows shrink from 22 % of the steps by 3 % to 6 %: of 100 steps, 22, 41, 57, 70, 80, 87, 93
    and 99 end with a checkpoint.
    """
    length, shrinkage, shortest = (max(int(share * steps), 1) for share in (0.22, 0.03, 0.06))
    result, end = [0] * steps, length
    while end <= steps:
        result[end - 1] = length
        length = max(length - shrinkage, shortest)
        end += length
    return result


def begin(evaluate: Callable, start: tf.Tensor, threat) -> State:
    """The state before the first step; `evaluate` is what `evaluation` returns."""
    loss, fooled, gradient = evaluate(start)
    return State(
        images=start,
        former=start,
        gradient=gradient,
        best=start,
        best_gradient=gradient,
        best_loss=loss,
        adversarial=start,
        fooled=fooled,
        step_size=2.0 * threat.epsilon * tf.ones_like(loss),
        loss=tf.zeros_like(loss),
        rises=tf.zeros_like(loss, tf.int32),
        halved=tf.ones_like(loss, tf.bool),
        checked_loss=loss,
    )


def advance(state: State, place, window, evaluate: Callable, x: tf.Tensor, threat) -> State:
    """One step, and a checkpoint where a window ends.

    The step's end is z = P(x_k + s * direction); the next iterate P(x_k + .75 (z - x_k) +
    .25 (x_k - x_{k-1})), or z at the first step.

    Args:
        state: before the step.
        place: number of steps taken before; integer scalar.
        window: length of the window that ends with this step, or 0; integer scalar.
        evaluate: what `evaluation` returns.
        x: clean images [B, ...].
        threat: `Threat`.
    """
    current = state.images
    step = per_image(state.step_size, x) * threat.steepest(state.gradient)
    share = tf.cast(tf.where(tf.equal(place, 0), 0.0, _MOMENTUM), x.dtype)
    end = threat.project(current + step, x)
    moved = current + (1.0 - share) * (end - current) + share * (current - state.former)
    images = threat.project(moved, x)
    loss, fooled, gradient = evaluate(images)
    better = loss > state.best_loss
    state = state._replace(
        images=images,
        former=current,
        gradient=gradient,
        best=_choose(better, images, state.best),
        best_gradient=_choose(better, gradient, state.best_gradient),
        best_loss=tf.where(better, loss, state.best_loss),
        adversarial=_choose(fooled, images, state.adversarial),
        fooled=state.fooled | fooled,
        loss=loss,
        rises=state.rises + tf.cast(loss > state.loss, tf.int32),
    )
    return _checked(state, window)


def _checked(state: State, window) -> State:
    """Halves the step sizes and returns to the best iterates where progress stalled.

    That is where at most three steps in four raised the loss, or where the best loss has not
    grown since the last checkpoint and that one did not halve.
    """
    checkpoint = window > 0
    oscillates = 4 * state.rises <= 3 * window
    unchanged = ~state.halved & (state.checked_loss >= state.best_loss)
    halve = checkpoint & (oscillates | unchanged)
    return state._replace(
        images=_choose(halve, state.best, state.images),
        gradient=_choose(halve, state.best_gradient, state.gradient),
        step_size=tf.where(halve, state.step_size / 2.0, state.step_size),
        rises=tf.where(checkpoint, 0, state.rises),
        halved=tf.where(checkpoint, halve, state.halved),
        checked_loss=tf.where(checkpoint, state.best_loss, state.checked_loss),
    )


def _choose(which, first, second):
    """Images [B, ...] of `first` where `which` [B] holds, else of `second`.

    As rows, because a selection that broadcasts over three axes is far slower on a CPU.
    """
    rows = (tf.reshape(images, [tf.shape(which)[0], -1]) for images in (first, second))
    return tf.reshape(tf.where(which[:, tf.newaxis], *rows), tf.shape(first))
