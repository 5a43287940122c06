"""FGSM: the fast gradient sign method."""

from anchor_tf.attacks.ascent import ascend
from anchor_tf.attacks.inputs import takes_arrays
from anchor_tf.losses.classification import cross_entropy

FACTS = {
    "steps": 1,
    "step_size": None,
    "random_start": False,
    "returned": "last iterate",
    "access": "gradients",
}


@takes_arrays
def fgsm(logits_fn, x, y, threat, seed=0, x_init=None):
    """One steepest step of length epsilon on the cross-entropy.

    Source: Goodfellow et al. 2015, "Explaining and Harnessing Adversarial Examples"; in L2 the
    step follows the normalised gradient.

    Args:
        logits_fn: images [B, ...] -> logits [B, K].
        x: clean images, float32 [B, ...] within the threat's box.
        y: labels, integers [B].
        threat: `Threat`: norm, radius and box.
        seed: not used: the attack draws nothing.
        x_init: where the gradient is taken; x itself by default.

    Returns:
        Adversarial images, shaped like x, inside the threat.
    """
    del seed
    start = x if x_init is None else threat.project(x_init, x)
    return ascend(
        lambda images: cross_entropy(logits_fn(images), y), x, start, threat, 1, threat.epsilon
    )


def passes(**_) -> tuple[int, int]:
    """Forward passes and gradients for an image that withstands `fgsm`."""
    return 0, 1


def default_step_size(threat, steps):
    """The whole radius in one step."""
    del steps
    return threat.epsilon
