"""Warnings: given where they should be, and nowhere else."""

import types

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.evaluation import sanity
from anchor_tf.evaluation.runner import evaluate
from anchor_tf.evaluation.trial import Trial
from anchor_tf.models.classifier import Facts
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
    def told(outputs):
        facts = Facts()
        facts.look(outputs)
        return " ".join(sanity.output_warnings(facts))

    logits = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    coarse = probabilities.astype(np.float16).astype(np.float32) + np.float32(4e-3)
    sigmoids = exponentials / (1.0 + exponentials)
    for outputs in (probabilities, coarse, sigmoids):
        assert "look like probabilities" in told(outputs)
    assert "one for each class" in told(sigmoids)
    for outputs in (logits, exponentials, np.full((9, 4), np.nan, np.float32)):
        assert not told(outputs)


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


def _noisy(network, scale):
    generator = tf.random.Generator.from_seed(3)

    def model(x):
        return network(x, training=False) + scale * generator.normal([tf.shape(x)[0], 4])

    return model


@pytest.mark.parametrize("text", ["pgd(steps=1,restarts=10)", "square(queries=1000)"])
def test_a_radius_of_nothing_breaks_nothing_of_a_random_model(network, images, labels, parse, text):
    """By one answer after each of ten tries, over a third of the images would fall."""
    margins = np.sort(network(images / np.float32(255), training=False).numpy(), axis=1)
    scale = np.median(margins[:, -1] - margins[:, -2]) / 3.0
    evaluation = evaluate(_noisy(network, scale), images, labels, parse(text), Threat("linf", 1e-6))
    assert evaluation.clean_accuracy > 0.6
    assert evaluation.worst_case_accuracy > evaluation.clean_accuracy - 0.1
    assert "most of 20 further answers are wrong" in evaluation.warnings[0]


def test_a_random_model_falls_where_most_answers_are_wrong(network, images, labels, parse):
    attacks, threat = parse("pgd(steps=5)"), Threat("linf", 0.2)
    plain = evaluate(network, images, labels, attacks, threat)
    noisy = evaluate(_noisy(network, 0.01), images, labels, attacks, threat)
    assert plain.clean_accuracy - plain.worst_case_accuracy > 0.5
    assert abs(noisy.worst_case_accuracy - plain.worst_case_accuracy) < 0.06


def test_a_model_that_is_not_random_is_asked_once_a_batch(network, images, labels):
    calls = []

    def counted(classify):
        return lambda batch: calls.append(len(batch)) or classify(batch)

    trial = Trial(network, images, labels, batch_size=103, seed=0)
    trial.classify = counted(trial.classify)
    assert not trial.random
    assert len(calls) == 2
    found = trial._settled(None, labels, np.array(labels))
    np.testing.assert_array_equal(found, labels)
    assert not trial.random
    assert len(calls) == 2


def _scored(correct, classes, answers=None):
    """A stand-in for a trial, so many of a hundred images right."""
    labels = np.arange(100) % classes
    right = np.arange(100) < correct
    answers = np.where(right, labels, (labels + 1) % classes) if answers is None else answers
    return types.SimpleNamespace(
        labels=labels,
        classes=classes,
        clean_logits=np.eye(classes)[answers],
        clean_correct=answers == labels,
    )


@pytest.mark.parametrize(
    ("correct", "classes", "warned"),
    [(10, 10, True), (16, 10, True), (18, 10, False), (0, 10, True), (60, 2, True), (63, 2, False)],
)
def test_accuracy_at_chance_is_noticed(correct, classes, warned):
    found = sanity.chance_warnings(_scored(correct, classes))
    assert len(found) == warned
    assert all(
        "cannot be told from guessing: the model may expect other pixels" in f for f in found
    )


def test_one_answer_to_all_images_is_noticed_and_few_images_tell_nothing():
    trial = _scored(0, 10, np.zeros(100, int))
    trial.labels = np.where(np.arange(100) < 60, 0, trial.labels)  # 64 % right
    trial.clean_correct = trial.labels == 0
    assert "guessing, one class for all images" in sanity.chance_warnings(trial)[0]
    trial.labels = np.zeros(100, int)
    trial.clean_correct = trial.labels == 0
    assert not sanity.chance_warnings(trial)
    few = _scored(10, 10)
    for name in ("labels", "clean_logits", "clean_correct"):
        setattr(few, name, getattr(few, name)[:49])
    assert not sanity.chance_warnings(few)


def test_a_model_that_expects_other_pixels_is_noticed(network, images, labels, parse):
    """Trained on 0..255, it sees images in [0, 1] as black."""
    model = lambda x: network(x / 255.0, training=False)  # noqa: E731
    evaluation = evaluate(model, images, labels, parse("fgsm"), Threat("linf", 0.02))
    assert "a Rescaling from 0..255" in evaluation.warnings[0]
