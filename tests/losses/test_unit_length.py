"""Unit length: as TensorFlow and Keras have it, bit for bit, but bounded near zero."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.losses.infonce import info_nce
from anchor_tf.losses.keras_losses import PairMargin, SupervisedContrastive
from anchor_tf.losses.unit_length import SHORT, unit_length
from anchor_tf.methods.contrastive import UnitLength

ROWS = np.random.default_rng(0).normal(size=(64, 16)).astype(np.float32)
DIRECTIONS = tf.constant(np.random.default_rng(1).normal(size=(64, 16)), tf.float32)
PAIRS = {
    "tensorflow": (lambda rows: tf.math.l2_normalize(rows, axis=-1), unit_length),
    "keras": (keras.layers.UnitNormalization(), UnitLength()),
}


def value_and_gradient(function, rows, weights=DIRECTIONS):
    rows = tf.convert_to_tensor(rows)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        result = function(rows)
        total = tf.reduce_sum(result * weights)
    return result.numpy(), tape.gradient(total, rows).numpy()


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e3])
@pytest.mark.parametrize("others", [1.0, 0.0])
def test_away_from_zero_no_bit_changes(name, scale, others):
    plain, bounded = PAIRS[name]
    rows = scale * ROWS
    rows[40:] *= others
    for expected, found in zip(
        value_and_gradient(plain, rows), value_and_gradient(bounded, rows), strict=True
    ):
        np.testing.assert_array_equal(found[:40], expected[:40])


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-20, 1e-12, 1e-9, 1e-7, 1e-6, 1e-5, 1e-4])
def test_near_zero_the_gradient_is_bounded(name, scale):
    plain, bounded = PAIRS[name]
    value, gradient = value_and_gradient(bounded, np.float32(scale) * ROWS)
    expected, _ = value_and_gradient(plain, np.float32(scale) * ROWS)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-7)
    bound = np.linalg.norm(DIRECTIONS, axis=1) / SHORT
    assert np.all(np.linalg.norm(gradient, axis=1) <= 1.001 * bound)
    if scale == 0.0:
        np.testing.assert_array_equal(gradient, 0.0)
    if scale == 1e-5:  # it still points along the sphere
        along = DIRECTIONS - value * np.sum(value * DIRECTIONS, axis=1, keepdims=True)
        np.testing.assert_allclose(gradient, along / SHORT, rtol=1e-3, atol=1.0)


def test_what_is_not_a_number_stays_so():
    rows = ROWS.copy()
    rows[3, 0] = np.nan
    assert np.isnan(unit_length(tf.constant(rows)).numpy()[3]).all()


LABELS = np.arange(64) % 4
LOSSES = {
    "supcon": SupervisedContrastive(),
    "hardness": SupervisedContrastive(beta=2.0),
    "hardest": SupervisedContrastive(positives=2),
    "margin": PairMargin(margin=2.0),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dead", [0.0, 1e-25, 1e-9, 1e-5])
@pytest.mark.parametrize("rows", [1, 2, 64])
def test_the_gradient_of_every_loss_is_bounded(name, dead, rows):
    embeddings = ROWS.copy()
    embeddings[:rows] *= np.float32(dead)
    value, gradient = value_and_gradient(
        lambda given: LOSSES[name](LABELS, given), embeddings, weights=1.0
    )
    assert np.isfinite(value)
    assert np.linalg.norm(gradient) < 1e3 * np.sqrt(rows)
    if rows < 64:
        assert np.linalg.norm(gradient[rows:]) > 1e-3


def test_the_gradient_of_info_nce_is_bounded():
    rows = ROWS.copy()
    rows[0] = 0.0
    index = tf.range(64)

    def loss(given):
        z = unit_length(given)
        return tf.reduce_mean(info_nce(z, tf.roll(z, 1, axis=1), z, index, index))

    value, gradient = value_and_gradient(loss, rows, weights=1.0)
    assert np.isfinite(value)
    assert np.linalg.norm(gradient) < 1e3
