import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.losses.dlr import dlr, targeted_dlr
from tests.references import dlr as reference

pytestmark = pytest.mark.numeric


def batch(rows=200, classes=7, seed=0):
    """Logits whose labels and targets take every rank."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(rows, classes)).astype(np.float32) * 3
    labels = np.arange(rows, dtype=np.int32) % classes
    targets = (labels + 1 + generator.integers(0, classes - 1, rows)).astype(np.int32) % classes
    return logits, labels, targets


def with_gradient(loss, logits, *classes):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(logits, *classes)
        total = tf.reduce_sum(value)
    return value.numpy(), tape.gradient(total, logits).numpy()


def expected(loss, logits, *classes):
    rows = [loss(*row) for row in zip(logits.astype(np.float64), *classes, strict=True)]
    return np.array([value for value, _ in rows]), np.array([gradient for _, gradient in rows])


CASES = [(dlr, reference.dlr, 1), (targeted_dlr, reference.targeted_dlr, 2)]


@pytest.mark.parametrize(("loss", "oracle", "count"), CASES)
@pytest.mark.parametrize("classes", [4, 7])
def test_equals_the_loop_with_its_gradient(loss, oracle, count, classes):
    logits, *named = batch(classes=classes)
    value, gradient = with_gradient(loss, logits, *named[:count])
    expected_value, expected_gradient = expected(oracle, logits, *named[:count])
    np.testing.assert_allclose(value, expected_value, rtol=2e-5, atol=1e-6)
    scale = np.maximum(np.abs(expected_gradient).max(axis=1, keepdims=True), 1e-3)
    np.testing.assert_allclose(gradient / scale, expected_gradient / scale, atol=2e-5)


@pytest.mark.parametrize(("loss", "oracle", "count"), CASES)
def test_reference_gradient_is_the_finite_difference(loss, oracle, count):
    logits, *named = batch(rows=30)
    logits = logits.astype(np.float64)
    numerical = np.zeros_like(logits)
    for place in np.ndindex(*logits.shape):
        step = np.zeros_like(logits)
        step[place] = 1e-6
        above, _ = expected(oracle, logits + step, *named[:count])
        below, _ = expected(oracle, logits - step, *named[:count])
        numerical[place] = (above - below).sum() / 2e-6
    np.testing.assert_allclose(
        numerical, expected(oracle, logits, *named[:count])[1], rtol=1e-5, atol=1e-6
    )


def test_known_values():
    logits = tf.constant([[4.0, 1.0, 3.0, 0.0]] * 4)
    np.testing.assert_allclose(dlr(logits, [0, 2, 1, 3]), [-1 / 3, 1 / 3, 1.0, 4 / 3], rtol=1e-6)
    np.testing.assert_allclose(
        targeted_dlr(logits, [0, 0, 2, 3], [2, 1, 0, 0]),
        [-1 / 3.5, -3 / 3.5, 1 / 3.5, 4 / 3.5],
        rtol=1e-6,
    )


def test_no_gradient_where_the_label_ranks_third():
    _, gradient = with_gradient(
        dlr, np.float32([[4.0, 1.0, 3.0, 0.0], [4.0, 3.0, 1.0, 0.0]]), [1, 1]
    )
    np.testing.assert_allclose(gradient[0], 0.0, atol=1e-6)
    assert np.abs(gradient[1]).max() > 0.1


def test_true_class_is_masked_when_every_logit_is_negative():
    np.testing.assert_allclose(dlr(tf.constant([[-5.0, -9.0, -8.0]]), [0]), [-0.75], rtol=1e-6)


@pytest.mark.parametrize(("loss", "oracle", "count"), CASES)
def test_no_shift_or_scaling_of_the_logits_changes_it(loss, oracle, count):
    logits, *named = batch()
    value = loss(logits, *named[:count])
    np.testing.assert_allclose(loss(logits * 16 + 2, *named[:count]), value, rtol=1e-4, atol=1e-5)
    reversed_value = loss(-logits, *named[:count])
    assert np.abs(reversed_value - value).max() > 0.1


@pytest.mark.parametrize(("loss", "oracle", "count"), CASES)
def test_finite_at_huge_and_at_equal_logits(loss, oracle, count):
    logits, *named = batch()
    logits *= 1e4
    logits[:20] = 1e4
    logits[np.arange(20, 40), named[0][20:40]] = -1e4
    value, gradient = with_gradient(loss, logits, *named[:count])
    assert np.all(np.isfinite(value))
    assert np.all(np.isfinite(gradient))
    np.testing.assert_array_equal(value[:20], 0.0)


def test_half_precision_is_computed_in_float32():
    logits, labels, targets = batch()
    logits = logits.astype(np.float16)
    for loss, *classes in ((dlr, labels), (targeted_dlr, labels, targets)):
        value = loss(tf.constant(logits), *classes)
        assert value.dtype == tf.float32
        np.testing.assert_array_equal(value, loss(logits.astype(np.float32), *classes))


def test_too_few_classes_are_refused():
    with pytest.raises(UserError, match="at least 3 classes and the model has 2"):
        dlr(tf.zeros([1, 2]), [0])
    with pytest.raises(UserError, match="at least 4 classes and the model has 3"):
        targeted_dlr(tf.zeros([1, 3]), [0], [1])
