"""CW in its L-inf (or L2) form: projected gradient ascent on the Carlini-Wagner margin."""

from anchor_tf.attacks.inputs import takes_arrays
from anchor_tf.attacks.pgd import rounds as pgd_rounds
from anchor_tf.attacks.run_rounds import Rounds, run
from anchor_tf.errors import UserError

FACTS = {"random_start": True, "returned": "last iterate", "access": "gradients"}


@takes_arrays
def cw(
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
    kappa: float = 0.0,
):
    """PGD on the margin loss min(max_{i != y} z_i - z_y, kappa).

    Source: the objective f_6 of Carlini and Wagner 2017, "Towards Evaluating the Robustness of
    Neural Networks", inside PGD, as robust training papers use the name. The 2017 optimisation
    over the perturbation's size is another attack.

    Args:
        logits_fn: images [B, ...] -> logits [B, K].
        x: clean images, float32 [B, ...] within the threat's box.
        y: labels, integers [B].
        threat: `Threat`: norm, radius and box.
        seed: an integer, or keys uint32 [B, 3] that name each example (see `keyed_random`).
        x_init: starting point instead of a uniform one in the ball.
        steps: number of steps, at least 1.
        step_size: length of a step in the threat's norm; 2.5 epsilon / steps by default.
        restarts: how many starts to try; an example that one of them breaks is kept.
        kappa: how far past the boundary to go, in logit units; the gradient vanishes there.

    Returns:
        Adversarial images, shaped like x, inside the threat: the last iterate.

    Raises:
        UserError: steps or restarts below 1, kappa below 0, or a step_size that is not positive.
    """
    attack = rounds(steps=steps, step_size=step_size, restarts=restarts, kappa=kappa)
    return run(attack, logits_fn, x, y, threat, seed, x_init)


def rounds(*, steps, step_size, restarts, kappa) -> Rounds:
    """The restarts of `cw`, which explains the arguments."""
    if steps < 1 or restarts < 1 or kappa < 0 or (step_size is not None and step_size <= 0):
        raise UserError(
            "cw: steps and restarts must be at least 1, kappa at least 0, step_size above 0"
        )
    return pgd_rounds(
        steps=steps,
        step_size=step_size,
        restarts=restarts,
        random_start=True,
        objective="margin",
        kappa=kappa,
    )


def passes(*, steps, restarts, **_) -> tuple[int, int]:
    """Forward passes and gradients for an image that withstands `cw`."""
    return 0, steps * restarts
