"""Warnings: given where they should be, and nowhere else."""

import types

import numpy as np
import tensorflow as tf

from anchor_tf.evaluation import sanity
from anchor_tf.evaluation.runner import evaluate
from anchor_tf.threat import Threat


def _result(text, accuracy, steps, step_size):
    settings = {"steps": steps, "step_size": step_size}
    name = text.partition("(")[0]
    return types.SimpleNamespace(name=name, text=text, accuracy=accuracy, settings=settings)


def _warnings(fgsm_accuracy, pgd_accuracy, steps=10, step_size=0.025):
    results = [
        _result("fgsm", fgsm_accuracy, 1, 0.1),
        _result("pgd", pgd_accuracy, steps, step_size),
    ]
    return sanity.attack_warnings(results, 0.1)


def test_fgsm_stronger_than_pgd():
    (warning,) = _warnings(0.30, 0.32)
    assert warning == (
        "FGSM stronger than PGD: fgsm leaves 30.0 %, pgd 32.0 %: gradients may be masked"
    )
    assert not _warnings(0.315, 0.32)
    assert not _warnings(0.34, 0.32)


def test_an_attack_too_short_to_compare_is_not():
    assert not _warnings(0.1, 0.6, steps=3, step_size=0.01)
    assert not _warnings(0.1, 0.6, steps=1, step_size=0.1)
    assert _warnings(0.1, 0.6, steps=10, step_size=0.01)


def test_probabilities_are_recognised():
    logits = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    assert "look like probabilities" in sanity.output_warnings(probabilities)[0]
    assert not sanity.output_warnings(logits)
    assert not sanity.output_warnings(exponentials)


def test_probabilities_warning_reaches_the_evaluation(network, images, labels, parse):
    def softmax(x):
        return tf.nn.softmax(network(x, training=False))

    evaluation = evaluate(softmax, images, labels, parse("fgsm"), Threat("linf", 0.02))
    assert len(evaluation.warnings) == 1
    assert "look like probabilities" in evaluation.warnings[0]
    assert not evaluate(network, images, labels, parse("fgsm"), Threat("linf", 0.02)).warnings


def test_fgsm_warning_reaches_the_evaluation(network, images, labels, parse, replace_attack):
    replace_attack(lambda logits_fn, x, y, threat, seed, *, steps=9, step_size=None: x)
    evaluation = evaluate(network, images, labels, parse("fgsm", "pgd"), Threat("linf", 0.1))
    assert "FGSM stronger than PGD" in evaluation.warnings[0]
