"""Signs that a robust accuracy is not what it seems; each becomes a warning in the report."""

from collections.abc import Sequence

import numpy as np

_TOLERATED = 0.01


def output_warnings(logits: np.ndarray) -> list[str]:
    """Warns of probabilities in place of logits: a saturated softmax hides the gradient.

    Args:
        logits: float32 [N, K], the model's outputs on clean images.
    """
    if logits.min() < 0.0 or np.abs(logits.sum(axis=1) - 1.0).max() > 1e-3:
        return []
    return [
        "the model's outputs look like probabilities: attacks need logits, and its robust accuracy "
        "may be overestimated"
    ]


def attack_warnings(results: Sequence, epsilon: float) -> list[str]:
    """Warns where one step broke more than many did, by over a point.

    Args:
        results: the `AttackResult`s of one threat.
        epsilon: its radius; iterated attacks whose steps add up to less are not compared.
    """
    single = [result for result in results if result.name == "fgsm"]
    iterated = [
        result
        for result in results
        if result.name in ("bim", "pgd")
        and result.settings["steps"] > 1
        and result.settings["steps"] * result.settings["step_size"] >= 0.999 * epsilon
    ]
    return [
        f"FGSM stronger than {many.name.upper()}: {one.text} leaves {100 * one.accuracy:.1f} %, "
        f"{many.text} {100 * many.accuracy:.1f} %: gradients may be masked"
        for one in single
        for many in iterated
        if one.accuracy < many.accuracy - _TOLERATED
    ]


def instability_warnings(text: str, count: int) -> list[str]:
    """Warns of adversarial images whose logits were not finite; they count as misclassified.

    Args:
        text: the attack's spec.
        count: how many images.
    """
    if not count:
        return []
    return [
        f"{text}: the model's logits are NaN or infinite on {count} adversarial images, "
        "counted as misclassified"
    ]
