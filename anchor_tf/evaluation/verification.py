"""What every attack's output must satisfy before it counts: no attack is trusted."""

import numpy as np

from anchor_tf.threat import Threat

_ABSOLUTE, _RELATIVE_L2 = 1e-6, 1e-5


class AttackError(RuntimeError):
    """An attack returned images outside its threat: a bug of ours, not a user's mistake."""


def verify(name: str, adversarial: np.ndarray, images: np.ndarray, threat: Threat) -> None:
    """Checks an attack's output, in float64 and with none of the attack's own code.

    Args:
        name: the attack, for the message.
        adversarial: what the attack returned for `images`.
        images: float32 [B, ...], the clean images.
        threat: norm, radius and box. The radius may be exceeded by 1e-6, in L2 also by a relative
            1e-5, which is float32's rounding; the box may not.

    Raises:
        AttackError: wrong shape, NaN or infinity, a pixel outside the box or a perturbation that
            is too large.
    """
    if adversarial.shape != images.shape:
        raise AttackError(
            f"attack {name} returned shape {adversarial.shape} for images {images.shape}"
        )
    if not np.isfinite(adversarial).all():
        raise AttackError(f"attack {name} returned pixels that are NaN or infinite")
    lowest, highest = adversarial.min(), adversarial.max()
    if lowest < threat.low or highest > threat.high:
        raise AttackError(
            f"attack {name} left the box [{threat.low:g}, {threat.high:g}]: "
            f"pixels in [{lowest:.9g}, {highest:.9g}]"
        )
    epsilon = float(threat.epsilon)
    allowed = epsilon + _ABSOLUTE + (_RELATIVE_L2 * epsilon if threat.norm == "l2" else 0.0)
    largest = _distances(adversarial, images, threat.norm).max()
    if largest > allowed:
        raise AttackError(
            f"attack {name} left the {threat.norm} ball: distance {largest:.9g}, "
            f"epsilon {epsilon:.9g}"
        )


def _distances(first: np.ndarray, second: np.ndarray, norm: str) -> np.ndarray:
    difference = (first.astype(np.float64) - second).reshape(len(first), -1)
    return np.linalg.norm(difference, ord=np.inf if norm == "linf" else 2, axis=1)
