"""`fit` refuses pixels outside the threat's box, however they are given."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.methods.extras import pixel_check
from anchor_tf.methods.pgd_at import PGDAT
from anchor_tf.threat import Threat

X = np.random.default_rng(0).random((12, 4, 4, 1)).astype(np.float32)
Y = np.arange(12) % 3
BAD = np.where(np.arange(X.size).reshape(X.shape) == X.size - 1, np.float32(200), X)
NAN = np.where(BAD == 200, np.float32(np.nan), X)


def method():
    keras.utils.set_random_seed(0)
    images = keras.Input((4, 4, 1))
    backbone = keras.Model(images, keras.layers.Flatten()(images))
    built = PGDAT(backbone, 3, Threat("linf", 0.1), attack_steps=1)
    built.compile(keras.optimizers.SGD(0.1))
    return built


def batches(images):
    return tf.data.Dataset.from_tensor_slices((images, Y)).batch(4)


GIVEN = {
    "array": lambda images: {"x": images, "y": Y},
    "tensor": lambda images: {"x": tf.constant(images), "y": tf.constant(Y)},
    "dataset": lambda images: {"x": batches(images)},
    "dictionaries": lambda images: {
        "x": batches(images).map(
            lambda x, y: {
                "views": (x,),
                "images": x,
                "labels": tf.cast(y, tf.int32),
                "index": tf.cast(y, tf.int32),
            }
        )
    },
}


@pytest.mark.parametrize("kind", GIVEN)
def test_pixels_outside_the_box_are_refused(kind):
    trained = method()
    for images, message in ((BAD, "x: pixels range from"), (NAN, "x: some pixels are NaN")):
        with pytest.raises(UserError, match=message):
            trained.fit(**GIVEN[kind](images), batch_size=None, verbose=0)
    before = [weight.numpy() for weight in trained.trainable_variables]
    assert all(np.isfinite(weight).all() for weight in before)


def test_elements_that_are_dictionaries_are_looked_at():
    elements = batches(BAD).map(lambda x, y: {"images": x, "labels": y})
    checking = pixel_check.checked(elements, Threat("linf", 0.1))
    with pytest.raises(UserError, match="x: pixels range from"), checking as looked_at:
        list(looked_at)


@pytest.mark.parametrize("kind", ["array", "dataset"])
def test_bytes_are_refused(kind):
    with pytest.raises(UserError, match="x holds uint8: images should be floats"):
        method().fit(**GIVEN[kind](np.uint8(255 * X)), verbose=0)


def test_a_data_set_that_is_looked_at_trains_as_before():
    shuffled = batches(X).shuffle(3, seed=1)
    looked_at = method()
    losses = looked_at.fit(shuffled, epochs=2, verbose=0).history["loss"]
    plain = method()
    expected = keras.Model.fit(plain, batches(X).shuffle(3, seed=1), epochs=2, verbose=0)
    assert losses == expected.history["loss"]
    for one, two in zip(looked_at.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(one, two)


def test_what_cannot_be_looked_at_beforehand_is_left_alone():
    threat = Threat("linf", 0.1)
    for data in (None, (batch for batch in batches(X)), keras.utils.PyDataset()):
        with pixel_check.checked(data, threat) as given:
            assert given is data


def test_other_errors_of_a_data_set_stay_what_they_are():
    broken = batches(X).map(lambda x, y: (tf.debugging.check_numerics(x / 0.0, "theirs"), y))
    with pytest.raises(tf.errors.InvalidArgumentError, match="theirs"):
        method().fit(broken, verbose=0)
