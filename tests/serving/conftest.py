"""An exported classifier, the Keras model it was made of, and pictures to ask it about."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from anchor_tf import saved_model
from anchor_tf.backbones.resnet import resnet

SHAPE = (16, 12, 3)


@pytest.fixture(scope="package")
def model():
    """A narrow ResNet with moving statistics that are not those of the beginning."""
    keras.utils.set_random_seed(5)
    backbone = resnet(SHAPE, [0.5] * 3, [0.25] * 3, depth=18, width=4)
    inputs = keras.Input(SHAPE, name="images")
    classifier = keras.Model(inputs, keras.layers.Dense(5, name="classifier")(backbone(inputs)))
    for seed in range(3):
        classifier(tf.random.stateless_uniform([32, *SHAPE], [seed, 0]), training=True)
    return classifier


@pytest.fixture(scope="package")
def version(model, tmp_path_factory):
    """The folder of the export's first version."""
    folder = tmp_path_factory.mktemp("served") / "export"
    return saved_model.export(model, folder, image_shape=SHAPE)


@pytest.fixture(scope="package")
def images():
    """Seven images of noise, float32."""
    return np.random.default_rng(0).uniform(size=(7, *SHAPE)).astype(np.float32)


@pytest.fixture(scope="package")
def pictures():
    """A JPEG, a PNG and a grey PNG of the model's size."""
    pixels = np.random.default_rng(1).integers(0, 256, SHAPE, dtype=np.uint8)
    pixels = pixels[::4, ::4].repeat(4, 0).repeat(4, 1)  # coarse: JPEG would blur noise away
    return [_encoded(pixels, "JPEG"), _encoded(pixels, "PNG"), _encoded(pixels[:, :, 0], "PNG")]


@pytest.fixture(scope="package")
def expected(model):
    """A function from images to what each output of serving_default and embed should be."""

    def outputs(images):
        logits = model(images, training=False).numpy()
        powers = np.exp(logits.astype(np.float64))
        features = model.get_layer("backbone")(images, training=False).numpy()
        return {
            "logits": logits,
            "probabilities": powers / powers.sum(axis=1, keepdims=True),
            "label": logits.argmax(axis=1),
            "embedding": features / np.linalg.norm(features, axis=1, keepdims=True),
        }

    return outputs


@pytest.fixture(scope="package")
def decoded():
    """A function from pictures to images, by Pillow."""

    def images(pictures):
        opened = [Image.open(io.BytesIO(one)).convert("RGB") for one in pictures]
        return np.stack([np.asarray(image) / np.float32(255) for image in opened])

    return images


def _encoded(pixels, kind):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()
