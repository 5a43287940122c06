import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.losses.pair_margin import pair_margin
from tests.references import embeddings as reference
from tests.references.finite_difference import gradient as finite_difference

pytestmark = pytest.mark.numeric


def batch(rows=12, classes=3, seed=0):
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(rows, 4))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return z.astype(np.float32), generator.integers(0, classes, rows).astype(np.int32)


@pytest.mark.parametrize("block_size", [None, 12, 5, 1])
@pytest.mark.parametrize("margin", [0.3, 1.0, 2.0])
def test_equals_the_loops(margin, block_size):
    z, labels = batch()
    expected = reference.pair_margin(z, labels, margin)
    found = pair_margin(z, labels, margin=margin, block_size=block_size)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("block_size", [None, 4])
def test_gradient_is_that_of_the_reference_along_the_sphere(block_size):
    z, labels = batch(rows=6)

    def on_sphere(points):
        return points / np.linalg.norm(points, axis=1, keepdims=True)

    points = tf.constant(z)
    with tf.GradientTape() as tape:
        tape.watch(points)
        unit = tf.nn.l2_normalize(points, 1)
        total = tf.reduce_sum(pair_margin(unit, labels, margin=1.0, block_size=block_size))
    expected = finite_difference(
        lambda p: reference.pair_margin(on_sphere(p), labels, 1.0).sum(), z
    )
    np.testing.assert_allclose(tape.gradient(total, points), expected, atol=2e-3)


def test_identical_embeddings_have_a_finite_gradient():
    z = tf.ones([4, 1])
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = tf.reduce_sum(pair_margin(z, tf.constant([0, 0, 1, 1]), margin=1.0))
    assert np.isfinite(loss)
    assert np.all(np.isfinite(tape.gradient(loss, z)))


def test_rows_against_gathered_columns():
    z, labels = batch(rows=12)
    whole = pair_margin(z, labels, margin=1.0).numpy()
    part = pair_margin(
        z[4:8], labels[4:8], margin=1.0, columns=z, column_labels=labels, row_offset=4
    )
    np.testing.assert_allclose(part, whole[4:8], rtol=1e-5)
    local = pair_margin(z[4:8], labels[4:8], margin=1.0)
    assert np.abs(local - whole[4:8]).max() > 0.01


@pytest.mark.parametrize("margin", [0.0, -1.0, 2.1])
def test_margin_out_of_range(margin):
    z, labels = batch()
    with pytest.raises(UserError, match="margin"):
        pair_margin(z, labels, margin=margin)
