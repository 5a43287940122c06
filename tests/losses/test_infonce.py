import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.losses.infonce import info_nce
from tests.references import embeddings as reference
from tests.references.finite_difference import gradient as finite_difference

pytestmark = pytest.mark.numeric


def units(rows, dimensions=6, seed=0):
    z = np.random.default_rng(seed).normal(size=(rows, dimensions))
    return (z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32)


ANCHORS, POSITIVES, NEGATIVES = units(9), units(9, seed=1), units(18, seed=2)
IDS = np.arange(9, dtype=np.int32)
NEGATIVE_IDS = np.tile(IDS, 2)


@pytest.mark.parametrize("block_size", [None, 18, 5, 1])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_equals_the_loops_in_loss_and_gradient(temperature, block_size):
    arrays = [ANCHORS, POSITIVES, NEGATIVES]
    tensors = [tf.constant(array) for array in arrays]
    with tf.GradientTape() as tape:
        for tensor in tensors:
            tape.watch(tensor)
        loss = info_nce(*tensors, IDS, NEGATIVE_IDS, temperature=temperature, block_size=block_size)
        total = tf.reduce_sum(loss)
    expected = reference.info_nce(*arrays, IDS, NEGATIVE_IDS, temperature)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    for place, found in enumerate(tape.gradient(total, tensors)):

        def summed(point, place=place):
            moved = [a.astype(np.float64) for a in arrays]
            moved[place] = point
            return reference.info_nce(*moved, IDS, NEGATIVE_IDS, temperature).sum()

        np.testing.assert_allclose(found, finite_difference(summed, arrays[place]), atol=1e-3)


def test_own_versions_are_no_negatives():
    everyone = info_nce(ANCHORS, POSITIVES, NEGATIVES, IDS, NEGATIVE_IDS + 100, temperature=0.1)
    others = info_nce(ANCHORS, POSITIVES, NEGATIVES, IDS, NEGATIVE_IDS, temperature=0.1)
    assert np.all(everyone.numpy() > others.numpy())


def test_closed_forms():
    same = np.ones((4, 1), np.float32)
    loss = info_nce(same, same, same, np.arange(4), np.arange(4), temperature=0.1)
    np.testing.assert_allclose(loss, np.log(4), rtol=1e-6)
    alone = info_nce(same[:1], same[:1], same[:1], [0], [0], temperature=0.1)
    np.testing.assert_allclose(alone, 0.0, atol=1e-6)


def test_unknown_lengths_give_the_same():
    signature = [tf.TensorSpec([None, 6]), tf.TensorSpec([None, 6]), tf.TensorSpec([None, 6])]
    dynamic = tf.function(
        lambda *arrays: info_nce(*arrays, IDS, NEGATIVE_IDS), input_signature=signature
    )
    np.testing.assert_allclose(
        dynamic(ANCHORS, POSITIVES, NEGATIVES),
        info_nce(ANCHORS, POSITIVES, NEGATIVES, IDS, NEGATIVE_IDS),
        rtol=1e-5,
    )


def test_temperature_must_be_positive():
    with pytest.raises(UserError, match="temperature"):
        info_nce(ANCHORS, POSITIVES, NEGATIVES, IDS, NEGATIVE_IDS, temperature=0.0)
