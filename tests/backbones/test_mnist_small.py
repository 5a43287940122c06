import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.backbones.layers import ConvolutionBatchNorm
from anchor_tf.backbones.mnist_small import mnist_small
from anchor_tf.errors import UserError

pytestmark = pytest.mark.numeric

MNIST = ((28, 28, 1), [0.13], [0.31])


def test_layers():
    model = mnist_small(*MNIST)
    convolutions = [one for one in model.layers if isinstance(one, ConvolutionBatchNorm)]
    assert [(one.filters, one.strides) for one in convolutions] == [
        (16, 1),
        (32, 2),
        (32, 1),
        (64, 2),
        (64, 1),
    ]
    assert model.output_shape == (None, 256)
    channels = (1, 16, 32, 32, 64, 64)
    kernels = sum(9 * a * b for a, b in itertools.pairwise(channels))
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert trainable == kernels + 2 * sum(channels[1:]) + (7 * 7 * 64 + 1) * 256


def test_saved_and_loaded(tmp_path):
    model = mnist_small(*MNIST, width=2)
    images = tf.random.stateless_uniform([4, 28, 28, 1], [0, 1])
    model(images, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images), model(images), rtol=1e-5)
    assert model(images).shape == (4, 32)
    assert np.all(model(images) >= 0.0)


def test_width_is_checked():
    with pytest.raises(UserError, match="width=0"):
        mnist_small(*MNIST, width=0)
