import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import saved_model, specs
from anchor_tf.backbones.keras_applications import keras_applications
from anchor_tf.errors import UserError

pytestmark = pytest.mark.numeric

GREY = ((32, 32, 1), [0.5], [0.25])
FEATURES = {"EfficientNetB0": 1280, "MobileNetV2": 1280, "MobileNetV3Small": 576, "VGG16": 512}


@pytest.fixture(scope="module")
def mobilenet():
    """A classifier of 8x8 images, resized to 32x32."""
    keras.utils.set_random_seed(0)
    backbone = keras_applications((8, 8, 1), [0.5], [0.25], name="MobileNet", image_size=32)
    images = keras.Input((8, 8, 1), name="images")
    model = keras.Model(images, keras.layers.Dense(3)(backbone(images)))
    # Untrained statistics would leave the deep features all but zero.
    for _ in range(3):
        model(tf.random.stateless_uniform([16, 8, 8, 1], [0, 1]), training=True)
    return model


@pytest.mark.parametrize("name", FEATURES)
def test_input_is_normalised_once(name):
    """The network sees (x - mean) / deviation: no preprocessing of its own is left."""
    keras.utils.set_random_seed(0)
    model = keras_applications(*GREY, name=name)
    assert (model.name, model.output_shape) == ("backbone", (None, FEATURES[name]))
    network = model.layers[-1]
    first = next(one for one in network.layers if getattr(one, "kernel", None) is not None)
    stem = keras.Model(network.input, first.input)
    images = np.random.default_rng(0).uniform(size=(2, 32, 32, 1)).astype(np.float32)
    before = keras.Sequential(model.layers[1:-1])(images)
    seen = stem(before).numpy()
    seen = seen[:, :32, :32] if seen.shape[1] == 33 else seen
    np.testing.assert_allclose(seen, (images - 0.5) / 0.25, atol=1e-4)


@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetB0"])
def test_batch_normalisation_has_the_fields_momentum(name):
    model = keras_applications(*GREY, name=name)
    norms = [
        one for one in model.layers[-1].layers if isinstance(one, keras.layers.BatchNormalization)
    ]
    assert len(norms) > 40
    assert {one.momentum for one in norms} == {0.9}


def test_a_step_moves_the_statistics_by_a_tenth():
    model = keras_applications(*GREY, name="MobileNetV2")
    layers = model.layers[-1].layers
    norm = next(one for one in layers if isinstance(one, keras.layers.BatchNormalization))
    images = tf.random.stateless_uniform([8, 32, 32, 1], [0, 1])
    inner = keras.Model(model.layers[-1].input, norm.input)
    mean = inner(model.layers[1](images)).numpy().mean(axis=(0, 1, 2))
    model(images, training=True)
    np.testing.assert_allclose(norm.moving_mean, 0.1 * mean, rtol=1e-3, atol=1e-5)


def test_gradients_reach_the_original_pixels(mobilenet):
    images = tf.random.stateless_uniform([4, 8, 8, 1], [0, 2])
    with tf.GradientTape() as tape:
        tape.watch(images)
        loss = tf.reduce_sum(mobilenet(images, training=False)[:, 0])
    gradient = tape.gradient(loss, images).numpy()
    assert gradient.shape == (4, 8, 8, 1)
    assert (np.abs(gradient).max(axis=(1, 2, 3)) > 0).all()


@pytest.mark.slow
def test_saved_loaded_and_exported(mobilenet, tmp_path):
    images = tf.random.stateless_uniform([5, 8, 8, 1], [0, 3])
    expected = mobilenet(images, training=False)
    mobilenet.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_allclose(loaded(images, training=False), expected, rtol=1e-5, atol=1e-6)
    folder = saved_model.export(loaded, tmp_path / "export", image_shape=(8, 8, 1))
    served = tf.saved_model.load(str(folder)).signatures["serving_default"](images=images)
    np.testing.assert_allclose(served["logits"], expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected).max() > 1e-3


def test_names_in_any_capitals():
    model = keras_applications(*GREY, name="mobilenet")
    assert model.layers[-1].name.startswith("mobilenet_1.00")
    spec = specs.check(
        specs.parse("keras_applications(name=EfficientNetB0,image_size=64)"),
        "anchor_tf.backbones",
        "backbone",
    )
    assert spec.arguments == {"name": "EfficientNetB0", "image_size": 64}


def test_mistakes_are_named():
    with pytest.raises(UserError, match=r"'EfficientNet_B0': did you mean EfficientNetB0\?"):
        keras_applications(*GREY, name="EfficientNet_B0")
    with pytest.raises(UserError, match=r"known: ConvNeXtBase, .*Xception"):
        keras_applications(*GREY, name="?")
    with pytest.raises(UserError, match=r"not take images of 8x8 .*32x32.*give image_size="):
        keras_applications((8, 8, 1), [0.5], [0.25], name="MobileNetV2")
    with pytest.raises(UserError, match="75x75"):
        keras_applications(*GREY, name="InceptionV3")
    with pytest.raises(UserError, match="image_size=0"):
        keras_applications(*GREY, name="VGG16", image_size=0)
