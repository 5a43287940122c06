"""Accuracy against epsilon: whether a model loses its accuracy as the radius grows."""

from collections.abc import Sequence

import tensorflow as tf

from anchor_tf.evaluation.attack_run import AttackRun, WorstCase
from anchor_tf.evaluation.trial import Trial
from anchor_tf.specs import Spec
from anchor_tf.threat import Threat

FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)


def accuracy_curve(
    trial: Trial, spec: Spec, threat: Threat, fractions: Sequence[float] = FRACTIONS
) -> list[tuple[float, float]]:
    """Accuracy under one attack at several radii; the attack is traced once for all of them.

    Each radius attacks every correctly classified image, as `runner.evaluate` does: a curve that
    rises would show an attack that fails.

    Args:
        trial: the model against images.
        spec: a checked spec of an attack.
        threat: norm, radius and box.
        fractions: of the threat's radius, each at least 0; L-inf radii are capped at the width of
            the box.

    Returns:
        (epsilon, accuracy) pairs, epsilon rising.
    """
    points = []
    for epsilon in radii(threat, fractions):
        accuracy = float(trial.clean_correct.mean())
        if epsilon > 0.0:
            ball = threat.with_epsilon(tf.constant(epsilon, tf.float32))
            accuracy = AttackRun(trial, spec, ball, WorstCase.before(trial), None).run().accuracy
        points.append((epsilon, accuracy))
    return points


def radii(threat: Threat, fractions: Sequence[float] = FRACTIONS) -> list[float]:
    """The radii of `accuracy_curve`, rising; at 0 nothing is attacked."""
    largest = threat.high - threat.low if threat.norm == "linf" else float("inf")
    return sorted({min(fraction * threat.epsilon, largest) for fraction in fractions})
