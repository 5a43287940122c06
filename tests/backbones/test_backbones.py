import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.backbones.layers import ConvolutionBatchNorm, FusedBatchNormalization, image_input
from anchor_tf.backbones.resnet import resnet
from anchor_tf.backbones.small import small

pytestmark = pytest.mark.numeric


def shaken(layer_or_model, seed=0):
    """Gives batch normalisation statistics and scales that are not their initial ones."""
    generator = np.random.default_rng(seed)
    values = [
        generator.uniform(0.5, 1.5, w.shape) * np.sign(w + 0.5)
        for w in layer_or_model.get_weights()
    ]
    layer_or_model.set_weights(values)


@pytest.mark.parametrize(("kernel_size", "strides"), [(3, 1), (3, 2), (1, 2)])
def test_folded_convolution_equals_convolution_then_normalisation(kernel_size, strides):
    layer = ConvolutionBatchNorm(5, kernel_size, strides)
    layer.build((None, 8, 8, 3))
    shaken(layer)
    images = tf.constant(np.random.default_rng(1).normal(size=(4, 8, 8, 3)), tf.float32)
    unfolded = layer.normalization(layer.convolution(images), training=False)
    np.testing.assert_allclose(layer(images, training=False), unfolded, rtol=1e-4, atol=1e-4)
    assert np.abs(layer(images, training=True) - unfolded).max() > 0.1
    assert tuple(layer.compute_output_shape(images.shape)) == tuple(unfolded.shape)


def test_training_updates_statistics_with_the_fields_momentum():
    layer = ConvolutionBatchNorm(2)
    images = tf.constant(np.random.default_rng(1).normal(size=(64, 8, 8, 3)), tf.float32)
    layer(images, training=False)
    np.testing.assert_array_equal(layer.normalization.moving_mean, 0.0)
    layer(images, training=True)
    mean = layer.convolution(images).numpy().mean(axis=(0, 1, 2))
    np.testing.assert_allclose(layer.normalization.moving_mean, 0.1 * mean, rtol=1e-3, atol=1e-6)


def test_fused_normalisation_equals_the_definition():
    """Six values a channel: a variance corrected for the sample's size would be a fifth larger."""
    layer = FusedBatchNormalization(momentum=0.9, epsilon=1e-5)
    layer.build((None, 1, 2, 4))
    shaken(layer)
    before = np.array(layer.moving_mean), np.array(layer.moving_variance)
    pixels = np.random.default_rng(1).normal(size=(3, 1, 2, 4))
    mean, variance = pixels.mean(axis=(0, 1, 2)), pixels.var(axis=(0, 1, 2))
    expected = (pixels - mean) / np.sqrt(variance + 1e-5) * np.array(layer.gamma)
    outputs = layer(tf.constant(pixels, tf.float32), training=True)
    np.testing.assert_allclose(outputs, expected + np.array(layer.beta), rtol=1e-5, atol=1e-5)
    for moving, old, batch in zip(
        (layer.moving_mean, layer.moving_variance), before, (mean, variance), strict=True
    ):
        np.testing.assert_allclose(moving, 0.9 * old + 0.1 * batch, rtol=1e-5, atol=1e-6)


def test_fused_normalisation_has_the_gradients_of_kerass_own():
    pixels = tf.constant(np.random.default_rng(1).normal(size=(3, 2, 2, 4)), tf.float32)
    weights = tf.constant(np.random.default_rng(2).normal(size=pixels.shape), tf.float32)
    gradients = []
    for kind in (FusedBatchNormalization, keras.layers.BatchNormalization):
        layer = kind(momentum=0.9, epsilon=1e-5)
        layer.build(pixels.shape)
        shaken(layer)
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            total = tf.reduce_sum(weights * layer(pixels, training=True))
        sources = [pixels, layer.gamma.value, layer.beta.value]
        gradients.append(tape.gradient(total, sources))
    for fused, own in zip(*gradients, strict=True):
        np.testing.assert_allclose(fused, own, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("depth", "features", "millions"), [(18, 512, 11.17), (34, 512, 21.28), (50, 2048, 23.50)]
)
def test_published_sizes_of_the_cifar_resnets(depth, features, millions):
    model = resnet((32, 32, 3), [0.5] * 3, [0.25] * 3, depth=depth)
    assert model.output_shape == (None, features)
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert abs(trainable / 1e6 - millions) < 0.01


def test_last_stage_of_a_cifar_image_is_four_by_four():
    model = resnet((32, 32, 3), [0.5] * 3, [0.25] * 3, width=4)
    pooling = next(
        one for one in model.layers if isinstance(one, keras.layers.GlobalAveragePooling2D)
    )
    assert pooling.input.shape[1:] == (4, 4, 32)


@pytest.mark.parametrize("image_shape", [(8, 8, 1), (28, 28, 1), (32, 32, 3)])
@pytest.mark.parametrize("builder", [small, lambda *a, **k: resnet(*a, **k, depth=50)])
def test_any_image_shape(builder, image_shape):
    channels = image_shape[-1]
    model = builder(image_shape, [0.5] * channels, [0.25] * channels, width=2)
    assert model(tf.zeros([3, *image_shape])).shape == (3, *model.output_shape[1:])


def test_normalisation_is_inside():
    plain = small((8, 8, 1), [0.0], [1.0], width=2)
    shifted = small((8, 8, 1), [0.5], [0.25], width=2)
    weights = plain.get_weights()
    shifted.set_weights(weights)
    images = tf.random.stateless_uniform([4, 8, 8, 1], [0, 1])
    np.testing.assert_allclose(shifted(images), plain((images - 0.5) / 0.25), atol=1e-5)


def test_training_pass_reaches_the_layers():
    model = small((8, 8, 1), [0.5], [0.25], width=2)
    before = [np.array(w) for w in model.non_trainable_weights]
    images = tf.random.stateless_uniform([4, 8, 8, 1], [0, 1])
    model(images, training=False)
    model(images)
    for old, new in zip(before, model.non_trainable_weights, strict=True):
        np.testing.assert_array_equal(old, new)
    model(images, training=True)
    layers = [layer for layer in model.layers if isinstance(layer, ConvolutionBatchNorm)]
    assert all(np.any(layer.normalization.moving_mean != 0) for layer in layers)


def test_saved_and_loaded(tmp_path):
    model = resnet((8, 8, 3), [0.5] * 3, [0.25] * 3, width=2)
    shaken(model)
    model.save(tmp_path / "model.keras")
    images = tf.random.stateless_uniform([4, 8, 8, 3], [0, 1])
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images), model(images), rtol=1e-5)


def test_normalization_on_rows_is_that_of_keras():
    mean, deviation = [0.1, 0.5, 0.7], [0.2, 0.3, 0.0]
    images, normalized = image_input((6, 5, 3), mean, deviation)
    model = keras.Model(images, normalized)
    pixels = np.random.default_rng(0).uniform(size=(4, 6, 5, 3)).astype(np.float32)
    expected = (pixels - np.array(mean)) / np.array([0.2, 0.3, 1e-3])
    np.testing.assert_allclose(model(pixels), expected, rtol=2e-4, atol=1e-5)
