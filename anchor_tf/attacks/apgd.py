"""APGD: projected gradient ascent that finds its own step sizes, the core of AutoAttack."""

from typing import Literal

import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.attacks.adaptive_ascent import ascend, evaluation
from anchor_tf.attacks.inputs import takes_arrays
from anchor_tf.attacks.run_rounds import Rounds, run
from anchor_tf.attacks.targets import target_class
from anchor_tf.errors import UserError
from anchor_tf.losses.classification import cross_entropy
from anchor_tf.losses.dlr import dlr, targeted_dlr

_OBJECTIVES = {"ce": cross_entropy, "dlr": dlr, "targeted_dlr": targeted_dlr}


FACTS = {
    "random_start": True,
    "returned": "last misclassified iterate, else the best",
    "access": "gradients",
}


@takes_arrays
def apgd(
    logits_fn,
    x,
    y,
    threat,
    seed=0,
    x_init=None,
    *,
    objective: Literal["ce", "dlr", "targeted_dlr"] = "ce",
    steps: int = 100,
    restarts: int = 1,
    targets: int = 9,
    samples: int = 1,
):
    """Steepest ascent with momentum; step sizes of 2 epsilon are halved where progress stalls.

    Source: Croce and Hein 2020, "Reliable Evaluation of Adversarial Robustness with an Ensemble of
    Diverse Parameter-free Attacks", step for step as in the authors' code; the rules stand in
    `adaptive_ascent`. It differs in these points: a gradient however small makes a full step in L2,
    where theirs adds 1e-12 to its norm; targets are ranked among the classes other than y, which is
    the same for images classified correctly; an example that is never misclassified gets the image
    of its highest loss, not the clean one; draws belong to the example, not to its batch.

    Args:
        logits_fn: images [B, ...] -> logits [B, K].
        x: clean images, float32 [B, ...] within the threat's box.
        y: labels, integers [B].
        threat: `Threat`: norm, radius and box.
        seed: an integer, or keys uint32 [B, 3] that name each example (see `keyed_random`).
        x_init: starting point of the first round instead of a drawn one.
        objective: what is raised: "ce" the cross-entropy, "dlr" the difference of logits ratio,
            "targeted_dlr" the same towards one other class after the other.
        steps: number of steps, at least 1.
        restarts: how many starts to try, for each target; at least 1.
        targets: how many other classes "targeted_dlr" tries, those with the largest clean logits
            first; at least 1. Where there are fewer, all of them.
        samples: for randomised models: gradients averaged at each step, at least 1.

    Returns:
        Adversarial images, shaped like x, inside the threat: the last iterate that was
        misclassified, the start included; where there was none, the one of the highest loss.

    Raises:
        UserError: an argument out of its range, or fewer classes than the objective needs: 3 for
            "dlr", 4 for "targeted_dlr".
    """
    attack = rounds(
        objective=objective, steps=steps, restarts=restarts, targets=targets, samples=samples
    )
    return run(attack, logits_fn, x, y, threat, seed, x_init)


def rounds(*, objective, steps, restarts, targets, samples) -> Rounds:
    """The restarts of `apgd`, which explains the arguments; for each target, if there are any.

    A round whose target's rank exceeds the number of classes takes no step.
    """
    if min(steps, restarts, targets, samples) < 1:
        raise UserError("steps, restarts, targets and samples must be at least 1")
    ranks = targets if objective == "targeted_dlr" else 1

    def attack(logits_fn, x, y, threat, keys, start, number):
        rank, restart = number // restarts, number % restarts
        if start is None:
            stream = keyed_random.fold(keyed_random.fold(keys, objective), rank)
            start = random_start(x, threat, keyed_random.fold(stream, restart))
        else:
            start = threat.project(start, x)
        classes, limit = (y,), steps
        if objective == "targeted_dlr":
            logits = logits_fn(x)
            classes = (y, target_class(logits, y, rank))
            limit = tf.where(rank < logits.shape[-1] - 1, steps, 0)
        loss = _OBJECTIVES[objective]
        evaluate = evaluation(logits_fn, lambda logits: loss(logits, *classes), y, samples)
        return ascend(evaluate, x, start, threat, steps, limit)

    return Rounds(attack, range(ranks * restarts))


def passes(*, objective, steps, restarts, targets, samples, **_) -> tuple[int, int]:
    """Forward passes and gradients for an image that withstands `apgd`."""
    targeted = objective == "targeted_dlr"
    count = restarts * (targets if targeted else 1)
    return (count if targeted else 0), count * (steps + 1) * samples


def random_start(x: tf.Tensor, threat, keys: tf.Tensor) -> tf.Tensor:
    """A point on the sphere of radius epsilon around each image, cut by the box.

    In L-inf uniform numbers over the largest of them, in L2 normal ones over their norm.
    """
    shape = x.shape[1:].as_list()
    if threat.norm == "linf":
        direction = keyed_random.uniform(keys, shape, -1.0, 1.0)
        axes = list(range(1, x.shape.rank))
        direction /= tf.reduce_max(tf.abs(direction), axis=axes, keepdims=True)
    else:
        direction = threat.steepest(keyed_random.normal(keys, shape))
    return threat.project(x + threat.epsilon * direction, x)
