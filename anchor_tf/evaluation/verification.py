"""What every attack's output must satisfy before it counts: no attack is trusted."""

import math

import numpy as np

from anchor_tf.threat import Threat

_ABSOLUTE, _RELATIVE_L2 = 1e-6, 1e-5
_ROUNDING = 2.0**-24  # of a float32, relative to the number


class AttackError(RuntimeError):
    """An attack returned images outside its threat: a bug of ours, not a user's mistake."""


def verify(name: str, adversarial: np.ndarray, images: np.ndarray, threat: Threat) -> None:
    """Checks an attack's output, in float64 and with none of the attack's own code.

    Args:
        name: the attack, for the message.
        adversarial: what the attack returned for `images`.
        images: float32 [B, ...], the clean images.
        threat: norm, radius and box. The radius may be exceeded by what `_allowed` says; the box
            may not.

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
    if lowest < np.float32(threat.low) or highest > np.float32(threat.high):
        raise AttackError(
            f"attack {name} left the box [{threat.low:g}, {threat.high:g}]: "
            f"pixels in [{lowest:.9g}, {highest:.9g}]"
        )
    epsilon = float(threat.epsilon)
    allowed = _allowed(threat, epsilon, math.prod(images.shape[1:]))
    largest = _distances(adversarial, images, threat.norm).max()
    if largest > allowed:
        raise AttackError(
            f"attack {name} left the {threat.norm} ball: distance {largest:.9g}, "
            f"epsilon {epsilon:.9g}"
        )


def _allowed(threat: Threat, epsilon: float, pixels: int) -> float:
    """The radius, and what float32's rounding may add to it.

    Each pixel of image plus perturbation is off by up to 2**-24 of the box's magnitude; in L2 these
    add up to sqrt(pixels) times as much, and the length of the perturbation, a sum over all pixels,
    is off by a relative sqrt(pixels) 2**-24. At least 1e-6 of the magnitude and, in L2, a relative
    1e-5 are allowed, for attacks that round more than once.
    """
    magnitude = max(abs(threat.low), abs(threat.high))
    if threat.norm == "linf":
        return epsilon + _ABSOLUTE * magnitude
    rounding = math.sqrt(pixels) * _ROUNDING
    return epsilon + max(_RELATIVE_L2, rounding) * epsilon + (_ABSOLUTE + rounding) * magnitude


def _distances(first: np.ndarray, second: np.ndarray, norm: str) -> np.ndarray:
    difference = (first.astype(np.float64) - second).reshape(len(first), -1)
    return np.linalg.norm(difference, ord=np.inf if norm == "linf" else 2, axis=1)
