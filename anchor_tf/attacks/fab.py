"""FAB: the fast adaptive boundary attack."""

import functools

import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.attacks.ascent import finite_gradient
from anchor_tf.attacks.inputs import per_image, takes_arrays
from anchor_tf.attacks.projection import step_to_hyperplane
from anchor_tf.attacks.run_rounds import Rounds, run
from anchor_tf.attacks.targets import target_class
from anchor_tf.errors import UserError
from anchor_tf.losses.classification import margin
from anchor_tf.threat import Threat

_NONE = 1e10  # distance of an adversarial image not found yet
_FLAT = 1e-12  # keeps the distance to the boundary of a class without slope finite
_SHORTEST = 1e-8  # least length of a step in the weighting of the two


FACTS = {"returned": "nearest misclassified image", "access": "gradients"}


@takes_arrays
def fab(
    logits_fn,
    x,
    y,
    threat,
    seed=0,
    x_init=None,
    *,
    steps: int = 100,
    targets: int = 9,
    restarts: int = 1,
    targeted: bool = True,
    alpha_max: float = 0.1,
    eta: float = 1.05,
    beta: float = 0.9,
):
    """Walks along the boundary between the true and a target class, towards the clean image.

    Each step takes the logits as linear, projects both the iterate and the clean image onto the
    hyperplane where the two classes tie, overshoots a little, and averages the two points with a
    bias that draws to the clean image. From a misclassified iterate it steps back towards the
    clean image. The nearest misclassified iterate, of whatever class, is the result.

    Source: Croce and Hein 2020, "Minimally distorted Adversarial Examples with a Fast Adaptive
    Boundary Attack", FAB-T and FAB as AutoAttack runs them, without the final search of the
    paper's algorithm. Here an image counts as misclassified where another logit is strictly
    larger, and targets are ranked among the classes other than y, which for correctly classified
    images is the same. Ranks beyond the number of classes cost one forward pass and change nothing.

    FAB looks for the nearest boundary, not for one within epsilon: where the nearest image found
    lies outside the ball, its projection onto the ball is returned, which may be misclassified or
    not. Epsilon itself matters to the search for random starts alone.

    Args:
        logits_fn: images [B, ...] -> logits [B, K].
        x: clean images, float32 [B, ...] within the threat's box.
        y: labels, integers [B].
        threat: `Threat`: norm, radius and box.
        seed: an integer, or keys uint32 [B, 3] that name each example (see `keyed_random`).
        x_init: where the first run starts, instead of at x.
        steps: number of steps for each target, at least 1: two forward passes and a backward one.
        targets: how many classes to aim at, those of the largest clean logits; at least 1.
        restarts: runs for each target; the first starts at x, others epsilon / 2 away from it.
        targeted: whether to aim at one class in each run, or in each step at the class whose
            boundary seems nearest, which takes a gradient for each class; `targets` is not used.
        alpha_max: largest weight of the clean image's projection, in [0, 1].
        eta: overshoot of both projections, at least 1.
        beta: share of the way from the clean image that a misclassified iterate keeps, in (0, 1].

    Returns:
        Adversarial images, shaped like x, inside the threat; x where none was found, and where x
        itself is misclassified.

    Raises:
        UserError: an argument out of its range.
    """
    attack = rounds(
        steps=steps,
        targets=targets,
        restarts=restarts,
        targeted=targeted,
        alpha_max=alpha_max,
        eta=eta,
        beta=beta,
    )
    return run(attack, logits_fn, x, y, threat, seed, x_init)


def rounds(*, steps, targets, restarts, targeted, alpha_max, eta, beta) -> Rounds:
    """The targets of each restart of `fab`, which explains the arguments.

    A round's number is restart * targets + rank of the target, from 0, among the other classes;
    the restart where the attack is untargeted.
    """
    if steps < 1 or targets < 1 or restarts < 1:
        raise UserError("fab: steps, targets and restarts must be at least 1")
    if not (0.0 <= alpha_max <= 1.0 and eta >= 1.0 and 0.0 < beta <= 1.0):
        raise UserError("fab: alpha_max must lie in [0, 1], eta be at least 1, beta in (0, 1]")

    ranks = targets if targeted else 1

    def attack(logits_fn, x, y, threat, keys, start, number):
        rank, restart = number % ranks, number // ranks
        logits = logits_fn(x)
        if targeted:
            target = target_class(logits, y, rank)
            boundary = functools.partial(_boundary, logits_fn, y, target)
        else:
            boundary = functools.partial(_nearest_boundary, logits_fn, y, threat, logits.shape[-1])
        if start is not None:
            start = threat.project(start, x)
        elif restarts == 1:
            start = x
        else:
            drawn = _random_start(x, threat, keyed_random.fold(keys, number))
            start = tf.where(restart > 0, drawn, x)

        def step(count, current, best, shortest):
            current = _approach(current, x, *boundary(current), threat, alpha_max, eta)
            adversarial = margin(logits_fn(current), y) > 0.0
            best, shortest = _nearer(current, x, adversarial, best, shortest, threat)
            back = x + beta * (current - x)
            return count + 1, tf.where(per_image(adversarial, x), back, current), best, shortest

        # A misclassified image is itself the nearest one.
        nearest = tf.where(margin(logits, y) > 0.0, 0.0, _NONE)
        last = tf.where(rank < logits.shape[-1] - 1, steps, 0)
        _, _, best, shortest = tf.while_loop(
            lambda count, *_: count < last,
            step,
            (tf.constant(0), start, x, nearest),
            maximum_iterations=steps,
            parallel_iterations=1,
        )
        # An image inside is returned as it is: projecting it rounds, and the boundary is near.
        inside = per_image(shortest <= threat.epsilon, x)
        return tf.stop_gradient(tf.where(inside, best, threat.project(best, x)))

    return Rounds(attack, range(restarts * ranks))


def passes(*, classes, steps, targets, restarts, targeted, **_) -> tuple[int, int]:
    """Forward passes and gradients for an image that withstands `fab`, of so many classes."""
    rounds = restarts * (min(targets, classes - 1) if targeted else 1)
    return rounds * (steps + 1), rounds * steps * (1 if targeted else classes - 1)


def _random_start(x: tf.Tensor, threat: Threat, keys: tf.Tensor) -> tf.Tensor:
    """A point epsilon / 2 from x in a random direction, clipped to the box."""
    shape = x.shape[1:].as_list()
    if threat.norm == "linf":
        noise = keyed_random.uniform(keys, shape, -1.0, 1.0)
    else:
        noise = keyed_random.normal(keys, shape)
    length = per_image(threat.distance(noise, tf.zeros_like(noise)), x)
    start = x + 0.5 * threat.epsilon * tf.math.divide_no_nan(noise, length)
    return tf.clip_by_value(start, threat.low, threat.high)


def _boundary(logits_fn, y: tf.Tensor, target: tf.Tensor, images: tf.Tensor):
    """z_target - z_y [B], and its gradient with respect to the images alone."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        logits = tf.cast(logits_fn(images), tf.float32)
        value = tf.gather(logits, target, batch_dims=1) - tf.gather(logits, y, batch_dims=1)
        total = tf.reduce_sum(value)
    return value, finite_gradient(tape, total, images)


def _nearest_boundary(logits_fn, y: tf.Tensor, threat: Threat, classes: int, images: tf.Tensor):
    """`_boundary` of the class whose linearised boundary is nearest, box aside.

    One class at a time: neither graph nor memory grows with their number.
    """

    def compare(place, nearest, value, gradient):
        target = tf.where(place < y, place, place + 1)
        other_value, other_gradient = _boundary(logits_fn, y, target, images)
        slope = tf.reduce_sum(
            other_gradient * threat.steepest(other_gradient), axis=list(range(1, images.shape.rank))
        )
        distance = tf.abs(other_value) / (slope + _FLAT)
        nearer = distance < nearest
        gradient = tf.where(per_image(nearer, images), other_gradient, gradient)
        value = tf.where(nearer, other_value, value)
        return place + 1, tf.where(nearer, distance, nearest), value, gradient

    nothing = tf.zeros(tf.shape(y))
    _, _, value, gradient = tf.while_loop(
        lambda place, *_: place < classes - 1,
        compare,
        (tf.constant(0), nothing + float("inf"), nothing, tf.zeros_like(images)),
        maximum_iterations=classes - 1,
        parallel_iterations=1,
    )
    return value, gradient


def _approach(current, x, value, gradient, threat, alpha_max, eta):
    """The biased average of both projections onto the linearised boundary.

    Args:
        current: the iterate, [B, ...].
        x: clean images, [B, ...].
        value: z_target - z_y at the iterate, [B].
        gradient: its gradient, [B, ...].
        threat: norm and box.
        alpha_max: largest weight of the clean image's projection.
        eta: overshoot.
    """
    points = tf.reshape(current, [tf.shape(current)[0], -1])
    clean, weights = tf.reshape(x, tf.shape(points)), tf.reshape(gradient, tf.shape(points))
    clean_value = value + tf.reduce_sum(weights * (clean - points), axis=1)
    both = step_to_hyperplane(
        tf.concat([points, clean], axis=0),
        tf.concat([weights, weights], axis=0),
        tf.concat([value, clean_value], axis=0),
        threat.norm,
        threat.low,
        threat.high,
    )
    lengths = tf.maximum(threat.distance(both, tf.zeros_like(both)), _SHORTEST)
    step, clean_step = tf.split(both, 2)
    length, clean_length = tf.split(lengths, 2)
    alpha = tf.minimum(length / (length + clean_length), alpha_max)[:, tf.newaxis]
    result = (points + eta * step) * (1.0 - alpha) + (clean + eta * clean_step) * alpha
    return tf.reshape(tf.clip_by_value(result, threat.low, threat.high), tf.shape(x))


def _nearer(current, x, adversarial, best, shortest, threat):
    """The best images and their distances, replaced where `current` is adversarial and nearer."""
    distance = threat.distance(current, x)
    nearer = adversarial & (distance < shortest)
    return tf.where(per_image(nearer, x), current, best), tf.where(nearer, distance, shortest)
