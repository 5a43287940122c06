"""Pixels outside the box are refused wherever they come in, and a model of integers is."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import anchor_tf
from anchor_tf import specs
from anchor_tf.attacks import pixels
from anchor_tf.errors import UserError
from anchor_tf.threat import Threat

X = np.random.default_rng(0).random((6, 4, 4, 1)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2])
THREAT = Threat("linf", 0.1)
NAMES = [name for name in specs.known("anchor_tf.attacks") if name != "transfer"]


def with_pixel(value):
    return np.where(np.arange(X.size).reshape(X.shape) == 5, np.float32(value), X)


WRONG = [
    (255 * X, r"x: pixels range from 0\.\d+ to 25\d.*divide them by 255"),
    (2 * X - 1, r"x: pixels range from -0\.\d+ to .*low=-1, high=1"),
    ((X - 0.45) / 0.25, r"keras\.layers\.Normalization"),
    (with_pixel(1.0011), r"x: pixels range from 0\.\d+ to 1\.001"),
    (with_pixel(-0.0011), "x: pixels range from -0.0011"),
    (with_pixel(np.nan), "x: some pixels are NaN or infinite"),
    (with_pixel(np.inf), "x: some pixels are NaN or infinite"),
]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    images = keras.Input((4, 4, 1))
    return keras.Model(images, keras.layers.Dense(3)(keras.layers.Flatten()(images)))


@pytest.mark.parametrize("name", NAMES)
def test_every_attack_looks_at_its_images(model, name):
    attack = getattr(anchor_tf, name)
    for x, message in WRONG:
        for given in (x, tf.constant(x)):
            with pytest.raises(UserError, match=message):
                attack(model, given, Y, THREAT)
    with pytest.raises(UserError, match="x_init: pixels range from"):
        attack(model, X, Y, THREAT, x_init=X + 0.5)
    with pytest.raises(UserError, match="x_init: some pixels are NaN"):
        attack(model, X, Y, THREAT, x_init=with_pixel(np.nan))


def test_what_lies_in_another_box_may_be_named():
    pixels.check(255 * X, Threat("linf", 8.0, 0.0, 255.0))
    pixels.check(2 * X - 1, Threat("linf", 0.1, -1.0, 1.0))
    pixels.check(with_pixel(255.2), Threat("linf", 8.0, 0.0, 255.0))
    with pytest.raises(UserError, match=r"to 255\.3, but the threat's box is \[0, 255\]"):
        pixels.check(with_pixel(255.3), Threat("linf", 8.0, 0.0, 255.0))


@pytest.mark.parametrize("value", [1.0009, -0.0009])
def test_a_pixel_just_outside_is_clipped(model, value):
    found = anchor_tf.pgd(model, with_pixel(value), Y, THREAT, steps=2)
    assert found.numpy().min() >= 0.0
    assert found.numpy().max() <= 1.0


def test_a_start_outside_the_ball_is_projected(model):
    start = np.clip(X + 0.6, 0.0, 1.0)
    found = anchor_tf.pgd(model, X, Y, THREAT, x_init=start, steps=1, step_size=1e-6)
    np.testing.assert_allclose(found, THREAT.project(tf.constant(start), tf.constant(X)), atol=2e-6)


def test_a_graph_is_clipped_where_its_values_are_not_known(model):
    @tf.function
    def attacked(x):
        return anchor_tf.pgd(model, x, tf.constant(Y), THREAT, steps=1)

    assert attacked(tf.constant(3 * X)).numpy().max() <= 1.0

    @tf.function(autograph=False)
    def constant():
        return anchor_tf.pgd(model, tf.constant(255 * X), tf.constant(Y), THREAT, steps=1)

    with pytest.raises(UserError, match="divide them by 255"):
        constant()


def test_a_model_of_integers_is_refused():
    images = keras.Input((4, 4, 1), dtype="uint8")
    scaled = keras.layers.Rescaling(1 / 255)(images)
    model = keras.Model(images, keras.layers.Dense(3)(keras.layers.Flatten()(scaled)))
    with pytest.raises(UserError, match="the model takes uint8: rebuild it"):
        anchor_tf.fgsm(model, X, Y, THREAT)
