import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.losses.boosted import boosted_cross_entropy
from anchor_tf.losses.classification import cross_entropy, margin
from anchor_tf.losses.divergence import kl_divergence
from tests.references import classification as reference
from tests.references.finite_difference import gradient as finite_difference

pytestmark = pytest.mark.numeric


def logits_and_labels(count=12, classes=5, seed=0, scale=3.0):
    generator = np.random.default_rng(seed)
    logits = scale * generator.normal(size=(count, classes))
    return logits.astype(np.float32), generator.integers(0, classes, count).astype(np.int32)


def gradient(function, logits):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total = tf.reduce_sum(function(logits))
    return tape.gradient(total, logits).numpy()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_cross_entropy_equals_the_reference(smoothing):
    logits, labels = logits_and_labels()
    expected = reference.smoothed_cross_entropy(logits, labels, smoothing)
    np.testing.assert_allclose(cross_entropy(logits, labels, smoothing), expected, rtol=1e-5)
    if smoothing:
        plain = reference.smoothed_cross_entropy(logits, labels, 0.0)
        assert np.abs(expected - plain).max() > 0.1


def test_divergence_equals_the_reference_and_is_zero_only_where_predictions_agree():
    first, _ = logits_and_labels()
    second, _ = logits_and_labels(seed=1)
    expected = reference.kl_divergence(first, second)
    np.testing.assert_allclose(kl_divergence(first, second), expected, rtol=1e-4)
    np.testing.assert_allclose(kl_divergence(first, first + 7.0), 0.0, atol=1e-5)
    swapped = reference.kl_divergence(second, first)
    assert np.abs(expected - swapped).max() > 0.1  # the order of the arguments matters


def test_divergence_sends_gradients_to_both_predictions():
    first, _ = logits_and_labels(count=3)
    second, _ = logits_and_labels(count=3, seed=1)
    by_first = finite_difference(lambda z: reference.kl_divergence(z, second).sum(), first)
    by_second = finite_difference(lambda z: reference.kl_divergence(first, z).sum(), second)
    np.testing.assert_allclose(gradient(lambda z: kl_divergence(z, second), first), by_first,
                               atol=1e-4)  # fmt: skip
    np.testing.assert_allclose(gradient(lambda z: kl_divergence(first, z), second), by_second,
                               atol=1e-4)  # fmt: skip
    assert np.abs(by_first).max() > 0.01


def test_boosted_cross_entropy_equals_the_reference():
    logits, labels = logits_and_labels()
    expected = reference.boosted_cross_entropy(logits, labels)
    np.testing.assert_allclose(boosted_cross_entropy(logits, labels), expected, rtol=1e-4)
    numerical = finite_difference(
        lambda z: reference.boosted_cross_entropy(z, labels).sum(), logits
    )
    found = gradient(lambda z: boosted_cross_entropy(z, labels), logits)
    np.testing.assert_allclose(found, numerical, atol=2e-3)
    plain = reference.smoothed_cross_entropy(logits, labels, 0.0)
    assert np.all(expected > plain)


def test_a_lost_example_does_not_pull_with_full_force():
    logits, labels = np.array([[0.0, 13.0, 0.0, -1.0]], np.float32), np.array([0], np.int32)
    second_term = boosted_cross_entropy(logits, labels) - cross_entropy(logits, labels)
    rest = 1 - reference.probabilities(logits[0])[1]
    np.testing.assert_allclose(second_term, [-np.log(1e-4 + rest)], rtol=1e-4)
    both = gradient(lambda z: boosted_cross_entropy(z, labels), logits)
    pull = both - gradient(lambda z: cross_entropy(z, labels), logits)
    np.testing.assert_allclose(pull[0, 1], rest / (rest + 1e-4), rtol=1e-2)  # not 1


@pytest.mark.parametrize("loss", [cross_entropy, boosted_cross_entropy, margin])
def test_huge_logits_give_finite_losses_and_gradients(loss):
    logits = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [0.0, 0.0, 1e4]], np.float32)
    labels = np.array([1, 0, 2], np.int32)
    assert np.all(np.isfinite(loss(tf.constant(logits), labels)))
    assert np.all(np.isfinite(gradient(lambda z: loss(z, labels), logits)))
