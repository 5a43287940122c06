"""On a linear model the smallest radius that flips an example is known: the attacks must find it.

Between classes y and j it is (z_y - z_j) / |w_y - w_j| in the dual norm: L1 for L-inf, L2 for L2.
"""

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.evaluation.runner import evaluate
from anchor_tf.threat import Threat

pytestmark = pytest.mark.numeric

DUAL = {"linf": 1, "l2": 2}


def _problem(classes):
    """Random weights, and images so far inside the box that it never binds."""
    generator = np.random.default_rng(classes)
    images = generator.uniform(0.45, 0.55, (40, 3, 4, 2)).astype(np.float32)
    weights = generator.normal(size=(24, classes))
    logits = images.reshape(40, 24).astype(np.float64) @ weights
    bias = -logits.mean(axis=0)
    logits += bias
    weights, bias = tf.constant(weights, tf.float32), tf.constant(bias, tf.float32)
    return (
        images,
        logits,
        weights.numpy().astype(np.float64),
        lambda x: tf.reshape(x, [-1, 24]) @ weights + bias,
    )


def _radii(logits, weights, norm):
    """The exact minimal radius of each example."""
    radii = []
    for row in logits:
        label = row.argmax()
        radii.append(
            min(
                (row[label] - row[other])
                / np.linalg.norm(weights[:, label] - weights[:, other], ord=DUAL[norm])
                for other in range(len(row))
                if other != label
            )
        )
    return np.array(radii)


@pytest.mark.parametrize(
    ("norm", "classes", "attack"),
    [
        ("linf", 2, "fgsm"),
        ("linf", 2, "pgd(steps=20)"),
        ("linf", 2, "cw(steps=20)"),
        ("l2", 2, "fgsm"),
        ("l2", 2, "pgd(steps=20,step_size=1.0)"),
        ("linf", 5, "cw(steps=40,restarts=4)"),
        ("l2", 5, "cw(steps=30,step_size=1.0,restarts=2)"),
    ],
)
def test_flips_just_above_the_margin_and_not_just_below(norm, classes, attack, parse):
    images, logits, weights, model = _problem(classes)
    labels, radii = logits.argmax(axis=1), _radii(logits, weights, norm)
    order = np.argsort(radii)
    gaps = np.diff(radii[order]) / radii[order][:-1]
    for rank in (10, 20, 30):
        rank += int(gaps[rank : rank + 8].argmax())
        assert gaps[rank] > 0.01
        for scale, broken in ((0.999, rank), (1.001, rank + 1)):
            threat = Threat(norm, float(radii[order[rank]] * scale))
            evaluation = evaluate(model, images, labels, parse(attack), threat, batch_size=16)
            np.testing.assert_array_equal(
                np.sort(np.flatnonzero(~evaluation.robust)), np.sort(order[:broken])
            )
