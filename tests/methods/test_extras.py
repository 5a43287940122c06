"""What any method can be given: averages, perturbed weights, smoothing, N-FGSM, the guard."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.methods.extras.finite_guard import FiniteGuard
from anchor_tf.methods.extras.training_attack import n_fgsm
from anchor_tf.methods.extras.weight_average import WeightAverage
from anchor_tf.methods.extras.weight_perturbation import adversarial_shifts, shifted
from anchor_tf.methods.interface import Batch
from anchor_tf.threat import Threat
from tests.methods.method_cases import KEYS, THREAT, batches, build, element, weights
from tests.references import classification
from tests.slow_cases import slow_but

pytestmark = pytest.mark.numeric

EXTRAS = {"average_decay": 0.9, "weight_perturbation": 0.01, "label_smoothing": 0.1}


@pytest.mark.parametrize(
    "text",
    slow_but(
        ["ce", "anchor"],
        ["ce", "anchor", "trades", "mart", "clead", "margin_supcon", "ae_supcon"],
    ),
)
def test_all_of_them_together(text):
    method = build(text, training_attack="n_fgsm", weight_decay=5e-4, **EXTRAS)
    history = method.fit(batches(views=method.views), epochs=15, verbose=0).history
    assert history["loss"][-1] < 0.95 * history["loss"][0]
    assert np.all(np.isfinite(history["loss"]))


def test_the_average_is_the_recursion():
    method = build("ce", average_decay=0.6)
    expected = [np.array(w, np.float64) for w in method.classifier_weights]
    for step in range(1, 6):
        method.fit(batches(views=1), epochs=1, verbose=0)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = [
            decay * average + (1 - decay) * np.array(weight)
            for average, weight in zip(expected, method.classifier_weights, strict=True)
        ]
    for average, value in zip(method.average.averages, expected, strict=True):
        np.testing.assert_allclose(average, value, rtol=1e-4, atol=1e-6)
    images = element()["images"]
    averaged, current = method.classify_averaged(images).numpy(), method.classify(images).numpy()
    assert np.abs(averaged - current).max() > 1e-3
    method.average.adopt()
    np.testing.assert_allclose(method.classify(images), averaged, atol=1e-5)


def test_a_counter_among_the_weights_is_not_averaged():
    weights = [keras.Variable([2.0]), keras.Variable([5], dtype="int64", trainable=False)]
    average = WeightAverage(weights, 0.5)
    for weight in weights:
        weight.assign(weight + 4)
    average.update(100)
    np.testing.assert_array_equal(average.averages[0], [4.0])
    np.testing.assert_array_equal(average.averages[1], [9])


@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
@pytest.mark.parametrize("text", ["ce", "anchor"])
def test_the_norm_tracked_is_that_of_the_update_before_clipping(text, clip_norm):
    method = build(text, weight_decay=0.5, clip_norm=clip_norm)
    method.compile(optimizer=keras.optimizers.SGD(0.1))
    before = [np.array(variable) for variable in method.trainable_variables]
    history = method.fit(batches(views=method.views), epochs=1, verbose=0).history
    moves = [np.array(v) - b for v, b in zip(method.trainable_variables, before, strict=True)]
    length = np.sqrt(sum(np.square(move, dtype=np.float64).sum() for move in moves)) / 0.1
    norm = history["gradient_norm"][0]
    assert norm > 0.6
    np.testing.assert_allclose(length, clip_norm or norm, rtol=1e-3)


def test_without_an_average_the_weights_themselves_are_evaluated():
    method = build("ce")
    images = element()["images"]
    np.testing.assert_array_equal(method.classify_averaged(images), method.classify(images))
    assert method.evaluated_weights == method.classifier_weights


def test_shifts_have_the_length_of_their_kernel():
    method = build("ce")
    variables = method.trainable_variables
    generator = np.random.default_rng(0)
    gradients = [tf.constant(generator.normal(size=v.shape), tf.float32) for v in variables]
    for variable, gradient, shift in zip(
        variables, gradients, adversarial_shifts(gradients, variables, 0.01), strict=True
    ):
        weight, gradient = np.array(variable, np.float64), gradient.numpy().astype(np.float64)
        expected = 0.01 * np.linalg.norm(weight) * gradient / np.linalg.norm(gradient)
        np.testing.assert_allclose(shift, expected if weight.ndim > 1 else 0, atol=1e-6)


def test_a_kernel_whose_gradient_overflows_is_not_shifted():
    gradients = [tf.constant([[np.inf, 1.0], [2.0, 3.0]]), tf.constant([[3.0, 4.0]])]
    shifts = adversarial_shifts(gradients, [tf.ones([2, 2]), tf.ones([1, 2])], 0.5)
    np.testing.assert_array_equal(shifts[0], np.zeros([2, 2]))
    np.testing.assert_allclose(shifts[1], [[0.3 * 2**0.5, 0.4 * 2**0.5]], rtol=1e-6)


def test_perturbed_weights_return_exactly_and_their_gradient_is_that_of_the_shifted_network():
    method = build("ce")
    batch = Batch.of(element(views=1), method.views)
    variables = method.trainable_variables
    with keras.StatelessScope():
        gradients, _, _ = method._gradients(batch, None, variables)
    shifts = adversarial_shifts(gradients, variables, 0.05)
    before = [np.array(v) for v in variables]
    found, loss, _ = method._gradients(batch, None, variables, shifts)
    for old, variable in zip(before, variables, strict=True):
        np.testing.assert_array_equal(old, variable)
    twin = build("ce")
    for variable, old, shift in zip(twin.trainable_variables, before, shifts, strict=True):
        variable.assign(old + shift)
    expected, shifted_loss, _ = twin._gradients(batch, None, twin.trainable_variables)
    np.testing.assert_allclose(loss, shifted_loss, rtol=1e-4)
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-5)
    assert np.abs(found[0] - gradients[0]).max() > 1e-3  # the shift does something


def test_the_perturbed_pass_alone_moves_the_batch_statistics():
    method, plain = build("ce"), build("ce")
    batch = Batch.of(element(views=1), method.views)
    shifts = [tf.zeros_like(v) for v in method.trainable_variables]
    shifted(method, method.trainable_variables, shifts, method.outcome, batch, None)
    plain.outcome(batch, None)
    for one, two in zip(weights(method), weights(plain), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-7)


def test_smoothing_enters_the_loss():
    method = build("ce", label_smoothing=0.2)
    batch = Batch.of(element(views=1), method.views)
    outcome = method.outcome(batch, None)
    expected = classification.smoothed_cross_entropy(outcome.logits["clean"], batch.labels, 0.2)
    np.testing.assert_allclose(outcome.losses["cross_entropy"], expected, rtol=1e-5)


@pytest.mark.parametrize("threat", [Threat("linf", 0.1), Threat("linf", 0.8), Threat("l2", 0.5)])
def test_n_fgsm_leaves_the_ball_but_not_the_box(threat):
    images = element()["images"]
    moved = n_fgsm(lambda x: tf.reduce_sum(x, [1, 2, 3]), images, threat, KEYS)
    distance = threat.distance(moved, images).numpy()
    assert distance.max() <= 3 * threat.epsilon + 1e-5
    assert moved.numpy().min() >= 0
    assert moved.numpy().max() <= 1
    if threat.epsilon < 0.6:
        assert distance.max() > 1.5 * threat.epsilon
    start = THREAT.with_epsilon(tf.constant(0.2)).random_start(images, KEYS)
    if threat == THREAT:
        expected = np.clip(start.numpy() + 0.1, 0, 1)
        np.testing.assert_allclose(moved, expected, atol=1e-6)


@pytest.mark.parametrize(
    "setup", [{"label_smoothing": 1.0}, {"average_decay": 1.0}, {"weight_perturbation": -0.1}]
)
def test_extras_out_of_range(setup):
    with pytest.raises(UserError, match=next(iter(setup))):
        build("ce", **setup)


@pytest.mark.parametrize("skips", [False, True])
def test_the_guard_remembers_the_first_step_or_skips_all(skips):
    statistics = [keras.Variable([1.0, 2.0], trainable=False)]
    guard = FiniteGuard(skips, statistics)
    index = tf.constant([4, 7, 9])
    fine, bad = tf.constant([1.0, 2.0, 3.0]), tf.constant([1.0, np.inf, 3.0])
    gradient, overflown = [tf.constant([2.0, -1.0])], [tf.constant([2.0, np.nan])]
    steps = [(fine, gradient), (fine, overflown), (bad, gradient), (fine, gradient)]
    found, passed = [], []
    for step, (loss, gradients) in enumerate(steps):
        former = guard.remember()
        statistics[0].assign([5.0 + step, np.nan if step == 1 else 0.0])
        wrong = guard.observe(index, loss, gradients)
        found.append(bool(wrong))
        if skips:
            passed.append(guard.forget(wrong, gradients, former)[0].numpy().tolist())
    assert found == [False, True, True, False]
    assert guard.count == 2
    assert (guard.first_step, guard.first_example) == ((-1, -1) if skips else (1, -1))
    if skips:
        assert passed == [[2.0, -1.0], [0.0, 0.0], [0.0, 0.0], [2.0, -1.0]]
        np.testing.assert_array_equal(statistics[0], [8.0, 0.0])
    first_is_bad = FiniteGuard(False, [])
    first_is_bad.observe(index, bad, gradient)
    assert (first_is_bad.first_step, first_is_bad.first_example) == (0, 7)
