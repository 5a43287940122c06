"""BIM: the basic iterative method."""

from anchor_tf.attacks.inputs import takes_arrays
from anchor_tf.attacks.pgd import pgd
from anchor_tf.errors import UserError

FACTS = {"random_start": False, "returned": "last iterate", "access": "gradients"}


@takes_arrays
def bim(
    logits_fn, x, y, threat, seed=0, x_init=None, *, steps: int = 10, step_size: float | None = None
):
    """Projected gradient ascent on the cross-entropy from the clean image: PGD, no random start.

    Source: Kurakin et al. 2017, "Adversarial Examples in the Physical World".

    Args:
        logits_fn: images [B, ...] -> logits [B, K].
        x: clean images, float32 [B, ...] within the threat's box.
        y: labels, integers [B].
        threat: `Threat`: norm, radius and box.
        seed: not used: the attack draws nothing.
        x_init: starting point; x itself by default.
        steps: number of steps, at least 1.
        step_size: length of a step in the threat's norm; 2.5 epsilon / steps by default.

    Returns:
        Adversarial images, shaped like x, inside the threat: the last iterate.

    Raises:
        UserError: steps below 1, or a step_size that is not positive.
    """
    if steps < 1 or (step_size is not None and step_size <= 0):
        raise UserError("bim: steps must be at least 1, step_size above 0")
    return pgd(
        logits_fn, x, y, threat, seed, x_init, steps=steps, step_size=step_size, random_start=False
    )


def passes(*, steps, **_) -> tuple[int, int]:
    """Forward passes and gradients for an image that withstands `bim`."""
    return 0, steps
