"""Attacks compiled by XLA, as on GPUs, find what they find without it."""

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.devices.distribution import Place
from anchor_tf.evaluation.runner import evaluate
from anchor_tf.threat import Threat

pytestmark = [pytest.mark.numeric, pytest.mark.slow]

ATTACKS = {
    "linf": ["bim", "mim(steps=3)", "pgd(steps=3)", "cw(steps=3)", "apgd(steps=6)"],
    "l2": [
        "pgd(steps=3)",
        "apgd(steps=6)",
        "cw_l2(steps=8,binary_search_steps=2,initial_constant=1.0)",
    ],
}
BOTH = ["fab(steps=4,targets=2)", "square(queries=12)"]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_compiled_attacks_find_the_same(network, images, labels, parse, norm):
    attacks = parse(*ATTACKS[norm], *BOTH)
    threat = Threat(norm, {"linf": 0.05, "l2": 0.15}[norm])
    options = {"batch_size": 16, "seed": 3, "keep_examples": True}
    shown = slice(0, 40)
    plain, compiled = (
        evaluate(
            network,
            images[shown],
            labels[shown],
            attacks,
            threat,
            place=Place(tf.distribute.get_strategy(), xla),
            **options,
        )
        for xla in (False, True)
    )
    for one, other in zip(plain.attacks, compiled.attacks, strict=True):
        # Rounding may turn the sign of a gradient, and with it the fate of an image.
        assert np.sum(one.robust != other.robust) <= 1, one.text
    assert 0 < plain.robust.mean() < plain.clean_accuracy
    same = np.abs(plain.adversarial - compiled.adversarial).max(axis=(1, 2, 3)) < 1e-4
    assert same.mean() >= 0.9
