import math

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.losses.supcon import supervised_contrastive
from tests.references import supcon as reference

pytestmark = pytest.mark.numeric


def batch(rows=24, classes=4, seed=0, dimensions=8):
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(rows, dimensions))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return z.astype(np.float32), generator.integers(0, classes, rows).astype(np.int32)


def with_gradient(z, labels, **arguments):
    z = tf.constant(z)
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = supervised_contrastive(z, tf.constant(labels), **arguments)
        total = tf.reduce_sum(loss)
    return loss.numpy(), tape.gradient(total, z).numpy()


@pytest.mark.parametrize("block_size", [None, 24, 7, 1])
@pytest.mark.parametrize(
    "arguments",
    [
        {"temperature": 0.1},
        {"temperature": 0.5, "beta": 1.0},
        {"temperature": 0.1, "beta": 4.0},
        {"temperature": 0.1, "beta": -2.0},
        {"temperature": 0.2, "beta": 1.0, "positives": 2},
        {"temperature": 0.2, "positives": 1},
        {"temperature": 0.2, "beta": 2.0, "positives": 50},
    ],
)
def test_equals_the_triple_loop(arguments, block_size):
    z, labels = batch()
    loss, gradient = with_gradient(z, labels, block_size=block_size, **arguments)
    np.testing.assert_allclose(
        loss, reference.supervised_contrastive(z, labels, **arguments), rtol=2e-5
    )
    np.testing.assert_allclose(gradient, reference.gradient(z, labels, **arguments), atol=2e-5)


@pytest.mark.parametrize("arguments", [{"temperature": 0.3}, {"temperature": 0.3, "positives": 1}])
def test_reference_gradient_is_the_finite_difference(arguments):
    z, labels = batch(rows=7, classes=2, dimensions=3)
    z = z.astype(np.float64)
    numerical = np.zeros_like(z)
    for place in np.ndindex(*z.shape):
        step = np.zeros_like(z)
        step[place] = 1e-6
        above = reference.supervised_contrastive(z + step, labels, **arguments).sum()
        below = reference.supervised_contrastive(z - step, labels, **arguments).sum()
        numerical[place] = (above - below) / 2e-6
    np.testing.assert_allclose(numerical, reference.gradient(z, labels, **arguments), atol=1e-6)


@pytest.mark.parametrize("views", [1, 2, 3])
def test_views_are_rows(views):
    z, labels = batch(rows=5 * views)
    labels = np.tile(labels[:5], views)
    loss, _ = with_gradient(z, labels, temperature=0.1, beta=1.0)
    expected = reference.supervised_contrastive(z, labels, 0.1, beta=1.0)
    np.testing.assert_allclose(loss, expected, rtol=2e-5)


@pytest.mark.parametrize("positives", [None, 2])
def test_row_without_positives_is_zero(positives):
    z, labels = batch(rows=6)
    labels = np.array([0, 0, 1, 2, 2, 2], np.int32)
    loss, gradient = with_gradient(z, labels, temperature=0.1, beta=1.0, positives=positives)
    assert loss[2] == 0.0
    assert np.all(loss[[0, 1, 3, 4, 5]] != 0.0)
    alone, gradient = with_gradient(
        z, np.arange(6, dtype=np.int32), temperature=0.1, positives=positives
    )
    assert np.all(alone == 0.0)
    assert np.all(gradient == 0.0)


def test_identical_embeddings_give_log_of_the_others():
    z = np.tile(batch(rows=1)[0], (9, 1))
    loss, _ = with_gradient(z, np.zeros(9, np.int32), temperature=0.1, beta=3.0)
    np.testing.assert_allclose(loss, math.log(8), rtol=1e-5)


def test_renaming_labels_changes_nothing():
    z, labels = batch()
    renamed = np.array([7, 3, 9, 5], np.int32)[labels]
    first = with_gradient(z, labels, temperature=0.1, beta=1.0)
    second = with_gradient(z, renamed, temperature=0.1, beta=1.0)
    np.testing.assert_array_equal(first[0], second[0])
    shuffled = with_gradient(z, np.roll(labels, 1), temperature=0.1, beta=1.0)
    assert np.abs(first[0] - shuffled[0]).max() > 0.1


@pytest.mark.parametrize("block_size", [None, 5])
@pytest.mark.parametrize("positives", [None, 3])
def test_finite_at_huge_logits(block_size, positives):
    z, labels = batch()
    loss, gradient = with_gradient(
        z, labels, temperature=1e-4, beta=1e3, block_size=block_size, positives=positives
    )
    assert np.all(np.isfinite(loss))
    assert np.all(np.isfinite(gradient))
    expected = reference.supervised_contrastive(z, labels, 1e-4, beta=1e3, positives=positives)
    np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=0.1)


@pytest.mark.parametrize("positives", [None, 2])
def test_rows_of_one_replica_against_gathered_columns(positives):
    z, labels = batch(rows=20)
    arguments = {"temperature": 0.1, "beta": 1.0, "positives": positives}
    whole, whole_gradient = with_gradient(z, labels, **arguments)
    columns = tf.constant(z)
    gradient = np.zeros_like(z)
    for first in (0, 10):
        with tf.GradientTape() as tape:
            tape.watch(columns)
            rows = columns[first : first + 10]
            loss = supervised_contrastive(
                rows,
                tf.constant(labels[first : first + 10]),
                columns=columns,
                column_labels=tf.constant(labels),
                row_offset=first,
                block_size=6,
                **arguments,
            )
            total = tf.reduce_sum(loss)
        np.testing.assert_allclose(loss, whole[first : first + 10], rtol=1e-5)
        gradient += tape.gradient(total, columns).numpy()
        local = supervised_contrastive(rows, tf.constant(labels[first : first + 10]), **arguments)
        assert np.abs(local - whole[first : first + 10]).max() > 0.1
    np.testing.assert_allclose(gradient, whole_gradient, atol=1e-5)


def test_compiled_equals_eager():
    z, labels = batch()
    eager = supervised_contrastive(z, labels, temperature=0.1, beta=1.0, block_size=7)
    compiled = tf.function(supervised_contrastive, jit_compile=True)(
        z, labels, temperature=0.1, beta=1.0, block_size=7
    )
    np.testing.assert_allclose(eager, compiled, rtol=1e-5)


@pytest.mark.parametrize("positives", [None, 2])
def test_length_known_only_at_run_time(positives):
    z, labels = batch()
    signature = [tf.TensorSpec([None, 8]), tf.TensorSpec([None], tf.int32)]

    @tf.function(input_signature=signature, autograph=False)
    def compiled(z, labels):
        with tf.GradientTape() as tape:
            tape.watch(z)
            loss = supervised_contrastive(z, labels, temperature=0.1, beta=1.0, positives=positives)
            total = tf.reduce_sum(loss)
        return loss, tape.gradient(total, z)

    expected = with_gradient(z, labels, temperature=0.1, beta=1.0, positives=positives)
    for one, two in zip(expected, compiled(z, labels), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arguments", [{"temperature": 0.0}, {"temperature": 1.0, "positives": 0}])
def test_bad_arguments_are_named(arguments):
    with pytest.raises(UserError, match=r"temperature.*positives"):
        supervised_contrastive(*batch(), **arguments)
