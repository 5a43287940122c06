"""What attacks accept."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import anchor_tf
from anchor_tf import specs
from anchor_tf.errors import UserError
from anchor_tf.threat import Threat

pytestmark = pytest.mark.numeric

QUICK = {
    "apgd": {"steps": 5},
    "autoattack": None,
    "cw_l2": {"steps": 3},
    "fab": {"steps": 3},
    "square": {"queries": 10},
    "transfer": None,
}
X = np.random.default_rng(0).random((6, 4, 4, 1))
Y = [0, 1, 2, 0, 1, 2]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    images = keras.Input((4, 4, 1))
    return keras.Model(images, keras.layers.Dense(3)(keras.layers.Flatten()(images)))


@pytest.mark.parametrize("name", specs.known("anchor_tf.attacks"))
def test_arrays_and_lists_do(model, name):
    if QUICK.get(name, {}) is None:
        pytest.skip("made of the others, or tested in a file of its own")
    attack, arguments = getattr(anchor_tf, name), QUICK.get(name, {})
    threat = Threat("l2" if name == "cw_l2" else "linf", 0.1)
    found = attack(model, X, Y, threat, **arguments)
    tensors = tf.constant(X, tf.float32), tf.constant(Y, tf.int32)
    expected = attack(model, *tensors, threat, **arguments)
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ((255 * X).astype(np.uint8), Y, "x holds uint8: images should be floats"),
        (X, np.eye(3)[Y], r"y holds float64 \(6, 3\): labels should be integers"),
        (X, [0.5] * 6, "y holds float64: labels should be integers"),
        (X, Y[:5], r"y should be one label an image, \[6\]"),
    ],
)
def test_other_inputs_are_refused(model, x, y, message):
    with pytest.raises(UserError, match=message):
        anchor_tf.fgsm(model, x, y, Threat("linf", 0.1))


@pytest.mark.parametrize("name", ["apgd", "bim", "cw", "cw_l2", "fab", "mim", "pgd"])
def test_a_single_image_and_a_function_that_does_not_know_its_batch_size(model, name):
    def forgetful(images):  # as a SavedModel's signature is
        return model(tf.compat.v1.placeholder_with_default(images, [None, 4, 4, 1]))

    attack, arguments = getattr(anchor_tf, name), QUICK.get(name, {})
    threat = Threat("l2" if name == "cw_l2" else "linf", 0.1)
    found = attack(forgetful, X[:1], Y[:1], threat, **arguments)
    expected = attack(model, X[:1], Y[:1], threat, **arguments)
    np.testing.assert_allclose(found, expected, atol=1e-6)
