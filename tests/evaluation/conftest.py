"""Models and data that the evaluation tests share."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import specs


@pytest.fixture(scope="session")
def parse():
    """Parses and checks attack specs."""

    def parse_all(*texts):
        return [specs.check(specs.parse(text), "anchor_tf.attacks", "attack") for text in texts]

    return parse_all


@pytest.fixture(scope="session")
def images():
    """103 noise images of 6x6 pixels, as bytes."""
    return np.random.default_rng(0).integers(0, 256, (103, 6, 6, 1), dtype=np.uint8)


@pytest.fixture(scope="session")
def network():
    """A small convolutional network with random weights and BatchNorm statistics."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 1))
    hidden = keras.layers.Conv2D(8, 3, activation="relu")(inputs)
    hidden = keras.layers.BatchNormalization(momentum=0.5)(hidden)
    hidden = keras.layers.Dropout(0.5)(keras.layers.Flatten()(hidden))
    model = keras.Model(inputs, keras.layers.Dense(4)(hidden))
    model(tf.random.stateless_uniform([64, 6, 6, 1], [1, 2]), training=True)
    return model


@pytest.fixture(scope="session")
def labels(network, images):
    """The network's own predictions, but for every fifth image, which it gets wrong."""
    predictions = network(images.astype(np.float32) / 255.0, training=False).numpy().argmax(axis=1)
    wrong = np.arange(len(images)) % 5 == 0
    return np.where(wrong, (predictions + 1) % 4, predictions)


@pytest.fixture
def replace_attack(monkeypatch):
    """Puts another function in the place of the attack pgd."""
    return lambda function: monkeypatch.setattr("anchor_tf.attacks.pgd.pgd", function)
