"""The pre-activation block against its definition, and the two families of networks made of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.backbones.layers import ConvolutionBatchNorm, preactivation_block
from anchor_tf.backbones.preact_resnet import preact_resnet
from anchor_tf.backbones.wide_resnet import wide_resnet
from anchor_tf.errors import UserError
from tests.references import preactivation as reference

pytestmark = pytest.mark.numeric

COLOUR = ((32, 32, 3), [0.5] * 3, [0.25] * 3)
TINY = ((8, 8, 3), [0.5] * 3, [0.25] * 3)
NETWORKS = {
    "wide_resnet": lambda: wide_resnet(*TINY, depth=10, width=2),
    "preact_resnet": lambda: preact_resnet(*TINY, width=2),
}


def shaken(model, seed=0):
    """Gives batch normalisation statistics and scales that are not their initial ones."""
    generator = np.random.default_rng(seed)
    model.set_weights(
        [generator.uniform(0.5, 1.5, w.shape) * np.sign(w + 0.3) for w in model.get_weights()]
    )


def parameters(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize(("channels", "filters", "strides"), [(4, 4, 1), (4, 6, 1), (4, 6, 2)])
def test_block_equals_its_definition(channels, filters, strides):
    inputs = keras.Input((6, 6, channels))
    model = keras.Model(inputs, preactivation_block(inputs, filters, strides))
    shaken(model)
    plain = [one for one in model.layers if isinstance(one, keras.layers.Conv2D)]
    kernels = {one.kernel_size[0]: np.array(one.kernel) for one in plain}
    (norm,) = (one for one in model.layers if isinstance(one, keras.layers.BatchNormalization))
    (folded,) = (one for one in model.layers if isinstance(one, ConvolutionBatchNorm))
    first = (
        [np.array(w) for w in norm.weights],
        np.array(folded.convolution.kernel),
        [np.array(w) for w in folded.normalization.weights],
        kernels[3],
    )
    images = np.random.default_rng(1).normal(size=(2, 6, 6, channels)).astype(np.float32)
    outputs = model(images, training=False)
    expected = reference.block(images, strides, *first, kernels.get(1))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
    if 1 in kernels:
        # The shortcut of the post-activation networks, from the input as it is, is another one.
        raw = expected - reference.convolution(
            reference.activated(images, first[0]), kernels[1], strides
        )
        raw += reference.convolution(images, kernels[1], strides)
        assert np.abs(outputs - raw).max() > 0.1


@pytest.mark.parametrize("name", NETWORKS)
def test_folded_equals_unfolded(name, monkeypatch):
    model = NETWORKS[name]()
    generator = np.random.default_rng(0)
    model(generator.uniform(size=(32, 8, 8, 3)).astype(np.float32), training=True)
    images = generator.uniform(size=(4, 8, 8, 3)).astype(np.float32)
    folded = model(images, training=False).numpy()

    def unfolded(self, inputs, training=False):
        return self.normalization(self.convolution(inputs), training=training)

    monkeypatch.setattr(ConvolutionBatchNorm, "call", unfolded)
    np.testing.assert_allclose(folded, model(images, training=False), rtol=1e-4, atol=1e-5)
    assert np.abs(folded - model(images, training=True)).max() > 1e-3


@pytest.mark.parametrize("name", NETWORKS)
def test_batch_normalisation_has_the_fields_momentum(name):
    model = NETWORKS[name]()
    norms = [one for one in model.layers if isinstance(one, keras.layers.BatchNormalization)]
    norms += [one.normalization for one in model.layers if isinstance(one, ConvolutionBatchNorm)]
    assert {(one.momentum, one.epsilon) for one in norms} == {(0.9, 1e-5)}
    assert len(norms) == {"wide_resnet": 7, "preact_resnet": 17}[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_saved_and_loaded(name, tmp_path):
    model = NETWORKS[name]()
    model(tf.random.stateless_uniform([8, 8, 8, 3], [0, 1]), training=True)
    model.save(tmp_path / "model.keras")
    images = tf.random.stateless_uniform([4, 8, 8, 3], [0, 2])
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images), model(images), rtol=1e-5)
    assert loaded.name == "backbone"


def test_published_size_of_wrn_28_10():
    """36,479,194 with the classifier of ten classes; Zagoruyko and Komodakis: 36.5 M."""
    model = wide_resnet(*COLOUR)
    assert model.output_shape == (None, 640)
    assert parameters(model) == 36_479_194 - 641 * 10


def test_published_size_of_preact_resnet_18():
    """11,172,170 with the classifier of ten classes, 11.17 M either way."""
    model = preact_resnet(*COLOUR)
    assert model.output_shape == (None, 512)
    assert parameters(model) == 11_172_170 - 513 * 10


def test_last_stages_see_what_they_should():
    for model, shape in (
        (wide_resnet(*COLOUR, depth=10, width=1), (8, 8, 64)),
        (preact_resnet(*COLOUR, width=4), (4, 4, 32)),
    ):
        pooling = next(
            one for one in model.layers if isinstance(one, keras.layers.GlobalAveragePooling2D)
        )
        assert pooling.input.shape[1:] == shape


def test_mistakes_are_named():
    for depth in (27, 4, 3, -2):
        with pytest.raises(UserError, match=rf"depth={depth} should be 6 n \+ 4, \d+"):
            wide_resnet(*TINY, depth=depth)
    with pytest.raises(UserError, match="22 or 28"):
        wide_resnet(*TINY, depth=27)
    with pytest.raises(UserError, match="width=0"):
        wide_resnet(*TINY, width=0)
    with pytest.raises(UserError, match="width=0"):
        preact_resnet(*TINY, width=0)
