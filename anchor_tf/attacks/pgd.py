"""PGD: projected gradient descent, the standard iterative attack."""

from typing import Literal

import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.attacks.ascent import ascend, default_step_size
from anchor_tf.attacks.inputs import takes_arrays
from anchor_tf.attacks.run_rounds import Rounds, run
from anchor_tf.errors import UserError
from anchor_tf.losses import classification

FACTS = {"returned": "last iterate", "access": "gradients"}


@takes_arrays
def pgd(
    logits_fn,
    x,
    y,
    threat,
    seed=0,
    x_init=None,
    *,
    steps: int = 20,
    step_size: float | None = None,
    restarts: int = 1,
    random_start: bool = True,
    objective: Literal["ce", "margin"] = "ce",
    kappa: float = 0.0,
):
    """Steepest ascent on a classification objective, projected onto the threat at every step.

    Source: Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks".

    Args:
        logits_fn: images [B, ...] -> logits [B, K].
        x: clean images, float32 [B, ...] within the threat's box.
        y: labels, integers [B].
        threat: `Threat`: norm, radius and box.
        seed: an integer, or keys uint32 [B, 3] that name each example (see `keyed_random`).
        x_init: starting point instead of a drawn one.
        steps: number of steps, at least 1.
        step_size: length of a step in the threat's norm; 2.5 epsilon / steps by default.
        restarts: how many starts to try; an example that one of them breaks is kept.
        random_start: whether to begin at a uniform point of the ball rather than at x.
        objective: "ce" raises the cross-entropy, "margin" the margin max_{i != y} z_i - z_y up to
            kappa.
        kappa: margin past the decision boundary at which "margin" stops; logit units.

    Returns:
        Adversarial images, shaped like x, inside the threat: the last iterate.

    Raises:
        UserError: steps or restarts below 1, kappa below 0, or a step_size that is not positive.
    """
    attack = rounds(
        steps=steps,
        step_size=step_size,
        restarts=restarts,
        random_start=random_start,
        objective=objective,
        kappa=kappa,
    )
    return run(attack, logits_fn, x, y, threat, seed, x_init)


def rounds(*, steps, step_size, restarts, random_start, objective, kappa) -> Rounds:
    """The restarts of `pgd`, which explains the arguments."""
    if steps < 1 or restarts < 1 or kappa < 0 or (step_size is not None and step_size <= 0):
        raise UserError(
            "steps and restarts must be at least 1, kappa at least 0, step_size above 0"
        )

    def attack(logits_fn, x, y, threat, keys, start, restart):
        def raised(images):
            logits = logits_fn(images)
            if objective == "ce":
                return classification.cross_entropy(logits, y)
            return tf.minimum(classification.margin(logits, y), kappa)

        if start is not None:
            start = threat.project(start, x)
        elif random_start:
            start = threat.random_start(
                x, keyed_random.fold(keyed_random.fold(keys, objective), restart)
            )
        else:
            start = x
        size = default_step_size(threat, steps) if step_size is None else step_size
        return ascend(raised, x, start, threat, steps, size)

    return Rounds(attack, range(restarts), kappa=kappa if objective == "margin" else 0.0)


def passes(*, steps, restarts, **_) -> tuple[int, int]:
    """Forward passes and gradients for an image that withstands `pgd`."""
    return 0, steps * restarts
