"""Warnings: given where they should be, and nowhere else."""

import types

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.evaluation import sanity
from anchor_tf.evaluation.runner import evaluate
from anchor_tf.evaluation.trial import Trial
from anchor_tf.threat import Threat

pytestmark = pytest.mark.numeric


def _result(text, accuracy, steps, step_size, images=1000):
    name = text.partition("(")[0]
    access = {"square": "outputs", "transfer": "another model"}.get(name, "gradients")
    settings = {"steps": steps, "step_size": step_size, "access": access}
    robust = np.arange(images) < accuracy * images
    return types.SimpleNamespace(
        name=name, text=text, accuracy=accuracy, settings=settings, robust=robust
    )


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


def test_steps_that_lead_less_far_are_not_held_against_the_model():
    for step_size, expected in ((0.025, 1), (0.0005, 0)):
        few, many = _result("pgd", 0.83, 5, 0.05), _result("pgd", 0.98, 20, step_size)
        assert len(sanity.attack_warnings([few, many], 0.05)) == expected


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
    replace_attack(lambda logits_fn, x, y, threat, seed, start, *, steps=9, step_size=None: x)
    evaluation = evaluate(network, images, labels, parse("fgsm", "pgd"), Threat("linf", 0.1))
    assert "FGSM stronger than PGD" in evaluation.warnings[0]


def test_more_steps_must_not_help_the_defender():
    def warnings(few, many):
        results = [_result("pgd(steps=5)", few, 5, 0.05), _result("pgd(steps=50)", many, 50, 0.05)]
        return sanity.attack_warnings(results, 0.1)

    assert "more steps help the defender" in warnings(0.30, 0.32)[0]
    assert not warnings(0.315, 0.32)
    assert not warnings(0.32, 0.30)


@pytest.mark.parametrize("name", ["square", "transfer"])
def test_an_attack_without_gradient_must_not_break_what_gradients_do_not(name):
    def warnings(*results):
        return sanity.attack_warnings(results, 0.1)

    pgd = _result("pgd", 0.50, 10, 0.05)
    assert f"{name} breaks 1.1 %" in warnings(pgd, _result(name, 0.489, 0, 0.0))[0]
    assert not warnings(pgd, _result(name, 0.491, 0, 0.0))
    assert not warnings(_result("fgsm", 0.50, 1, 0.1), _result(name, 0.3, 0, 0.0))
    weaker = _result(name, 0.55, 0, 0.0)  # and yet it breaks what PGD does not
    weaker.robust = np.roll(weaker.robust, 50)
    assert f"{name} breaks 5.0 %" in warnings(pgd, weaker)[0]
    other = _result("cw", 0.50, 10, 0.05)
    other.robust = np.roll(other.robust, 50)  # the two leave 45 %, which this one leaves too
    assert not warnings(pgd, other, _result(name, 0.50, 0, 0.0))


def test_a_suite_is_held_against_transfer_and_its_own_square_against_itself():
    suite = _result("autoattack", 0.45, 0, 0.0)
    gradients = {"accuracy": 0.5, "access": "gradients", "steps": 100}
    square = {"accuracy": 0.45, "access": "outputs"}
    suite.settings = {"members": {"apgd-t": {**gradients, "accuracy": 0.45}, "square": square}}
    found = sanity.attack_warnings([suite, _result("transfer", 0.30, 0, 0.0)], 0.1)
    assert found == ["transfer breaks 15.0 % that gradient attacks do not: gradients are masked"]
    assert not sanity.attack_warnings([suite, _result("square", 0.30, 0, 0.0)], 0.1)
    suite = _result("autoattack", 0.45, 0, 0.0)
    suite.settings = {"members": {"apgd-ce": gradients, "square": square}}
    assert "autoattack square breaks 5.0 %" in sanity.attack_warnings([suite], 0.1)[0]
    suite.settings["members"]["square"]["accuracy"] = 0.499
    assert not sanity.attack_warnings([suite], 0.1)


def test_accuracy_that_rises_with_epsilon():
    rising = [(0.0, 0.9), (0.1, 0.5), (0.2, 0.6)]
    assert "rises with epsilon" in sanity.curve_warnings(rising, 500)[0]
    assert not sanity.curve_warnings([(0.0, 0.9), (0.1, 0.5), (0.2, 0.505)], 500)


def test_two_images_prove_nothing():
    assert not sanity.curve_warnings([(0.0, 0.9), (0.1, 0.5), (0.2, 0.6)], 20)
    assert sanity.curve_warnings([(0.0, 0.9), (0.1, 0.5), (0.2, 0.65)], 20)
    few = [_result("fgsm", 0.5, 1, 0.1, 20), _result("pgd", 0.6, 10, 0.05, 20)]
    assert not sanity.attack_warnings(few, 0.1)
    few[1].accuracy = 0.65
    assert sanity.attack_warnings(few, 0.1)


def test_members_that_cannot_run_are_named(parse):
    suite = parse("autoattack")
    assert not sanity.suite_warnings(suite, 4)
    assert "autoattack ran without apgd-t" in sanity.suite_warnings(suite, 3)[0]
    both = parse("autoattack(version=rand)")
    assert "without apgd-dlr" in sanity.suite_warnings(both, 2)[0]


def test_random_outputs_are_noticed(network, images, labels, parse):
    def noisy(x):
        return network(x, training=False) + 0.01 * tf.random.normal([tf.shape(x)[0], 4])

    evaluation = evaluate(noisy, images, labels, parse("fgsm"), Threat("linf", 0.02))
    assert "outputs are random" in evaluation.warnings[0]


def _quantised(network):
    """The network behind an input layer that rounds, and so has no gradient."""
    return lambda x: network(tf.round(4.0 * x) / 4.0, training=False)


def test_masked_gradients_raise_warnings_and_square_breaks_them(network, images, labels, parse):
    threat = Threat("linf", 0.15)
    masked = _quantised(network)
    targets = masked(images.astype(np.float32) / 255.0).numpy().argmax(axis=1)
    attacks = parse("pgd(steps=10)", "square(queries=300)")
    evaluation = evaluate(masked, images, targets, attacks, threat)
    pgd, square = (result.accuracy for result in evaluation.attacks)
    assert square < pgd - 0.1
    text = " ".join(evaluation.warnings)
    assert "the gradient is zero on 100 %" in text
    assert "square(queries=300) breaks" in text
    plain = evaluate(network, images, labels, attacks, threat)
    assert not plain.warnings


def test_unbounded_attack_must_reach_zero(network, images, labels):
    def trial(model, targets):
        return Trial(model, images, targets, batch_size=64, seed=0)

    assert not sanity.unbounded_warnings(trial(network, labels))
    masked = _quantised(network)
    targets = masked(images.astype(np.float32) / 255.0).numpy().argmax(axis=1)
    (warning,) = sanity.unbounded_warnings(trial(masked, targets))
    assert "withstand" in warning
