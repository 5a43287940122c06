"""The export, reloaded where anchor_tf cannot be imported, equals the model."""

import io
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from anchor_tf import saved_model
from anchor_tf.errors import UserError
from anchor_tf.serving import request_images

pytestmark = pytest.mark.numeric

# Run on its own: reads inputs.npz, writes what each signature returned.
RELOAD = """
import sys
sys.modules["anchor_tf"] = sys.modules["keras"] = None
import numpy as np
import tensorflow as tf
for package in ("anchor_tf", "keras"):
    try:
        __import__(package)
    except ImportError:
        continue
    sys.exit(package + " can be imported: the test proves nothing")
loaded = tf.saved_model.load(sys.argv[1])
assert sorted(loaded.signatures) == ["embed", "serve_bytes", "serving_default"]
images = np.load("images.npy")
results = {}
for size in (0, 1, 5, 32):
    for name in ("serving_default", "embed"):
        outputs = loaded.signatures[name](images=tf.constant(images[:size]))
        results |= {f"{key}{size}": value.numpy() for key, value in outputs.items()}
encoded = [open(f"{number}.bin", "rb").read() for number in range(6)]
for size in (0, 6):
    outputs = loaded.signatures["serve_bytes"](
        image_bytes=tf.constant(encoded[:size], tf.string, [size])
    )
    results |= {f"bytes_{key}{size}": value.numpy() for key, value in outputs.items()}
np.savez("results.npz", **results)
"""


@keras.saving.register_keras_serializable("tests")
class Brightness(keras.layers.Layer):
    """A layer that the reloading process does not know."""

    def call(self, images):
        return images - 0.5


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(2)
    inputs = keras.Input((8, 10, 3))
    hidden = keras.layers.Conv2D(6, 3, activation="relu")(Brightness()(inputs))
    hidden = keras.layers.BatchNormalization()(hidden)
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Dropout(0.5)(hidden))
    backbone = keras.Model(inputs, features, name="backbone")
    images = keras.Input((8, 10, 3))
    logits = keras.layers.Dense(4, name="classifier")(backbone(images))
    return keras.Model(images, logits)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(size=(32, 8, 10, 3)).astype(np.float32)


def _encoded(pixels, kind):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def pictures():
    """Encoded images: right size, grey, translucent, larger; PNG and JPEG."""
    generator = np.random.default_rng(1)
    coarse = generator.integers(0, 256, (4, 5, 3), dtype=np.uint8).repeat(2, 0).repeat(2, 1)
    large = coarse.repeat(3, 0).repeat(3, 1)
    alpha = np.full((8, 10, 1), 128, np.uint8)
    return [
        _encoded(coarse, "PNG"),
        _encoded(coarse, "JPEG"),
        _encoded(coarse[:, :, 0], "PNG"),
        _encoded(np.concatenate([coarse, alpha], axis=2), "PNG"),
        _encoded(large, "PNG"),
        _encoded(large, "JPEG"),
    ]


@pytest.fixture(scope="module")
def reloaded(model, images, pictures, tmp_path_factory):
    """What the exported model returned in a process of its own."""
    folder = tmp_path_factory.mktemp("reload")
    version = saved_model.export(model, folder / "export", image_shape=(8, 10, 3))
    assert version == folder / "export" / "1"
    np.save(folder / "images.npy", images)
    for number, picture in enumerate(pictures):
        (folder / f"{number}.bin").write_bytes(picture)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    completed = subprocess.run(
        # -P and -c: neither the repository nor this file's folder is on the path.
        [sys.executable, "-P", "-c", RELOAD, str(version)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr[-2000:]
    with np.load(folder / "results.npz") as results:
        return dict(results)


@pytest.mark.parametrize("size", [1, 5, 32])
def test_equals_the_model(model, images, reloaded, size):
    logits = model(images[:size], training=False).numpy()
    exponentials = np.exp(logits.astype(np.float64))
    features = model.get_layer("backbone")(images[:size], training=False).numpy()
    np.testing.assert_allclose(reloaded[f"logits{size}"], logits, atol=1e-5)
    np.testing.assert_allclose(
        reloaded[f"probabilities{size}"],
        exponentials / exponentials.sum(axis=1, keepdims=True),
        atol=1e-5,
    )
    np.testing.assert_array_equal(reloaded[f"label{size}"], logits.argmax(axis=1))
    np.testing.assert_allclose(
        reloaded[f"embedding{size}"],
        features / np.linalg.norm(features, axis=1, keepdims=True),
        atol=1e-5,
    )
    assert reloaded[f"label{size}"].dtype == np.int64
    for name in ("logits", "probabilities", "embedding"):
        assert reloaded[f"{name}{size}"].dtype == np.float32


def test_empty_batches(reloaded):
    assert reloaded["logits0"].shape == reloaded["bytes_probabilities0"].shape == (0, 4)
    assert reloaded["label0"].shape == (0,)
    assert reloaded["embedding0"].shape == (0, 6)


def _pillow_pixels(picture):
    """Decoded, laid over white and resized by Pillow, whose bilinear filter antialiases too."""
    image = Image.open(io.BytesIO(picture)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return np.asarray(image.resize((10, 8), Image.Resampling.BILINEAR), np.float32) / 255.0


def test_bytes_equal_decoded_pixels(model, pictures, reloaded):
    for number, picture in enumerate(pictures):
        image = Image.open(io.BytesIO(picture))
        exact = image.size == (10, 8)
        expected = model(_pillow_pixels(picture)[np.newaxis], training=False).numpy()[0]
        # Pillow rounds to bytes after resizing.
        np.testing.assert_allclose(
            reloaded["bytes_logits6"][number], expected, atol=1e-5 if exact else 5e-3
        )
    assert np.ptp(reloaded["bytes_logits6"], axis=0).max() > 0.05
    assert reloaded["bytes_label6"].shape == (6,)


def test_right_size_passes_unchanged(pictures):
    decoded = request_images.decode_images(tf.constant(pictures[:1]), (8, 10, 3))
    np.testing.assert_array_equal(decoded[0], _pillow_pixels(pictures[0]))


def test_resizing_antialiases(pictures):
    decoded = request_images.decode_images(tf.constant(pictures[4:]), (8, 10, 3)).numpy()
    for image, picture in zip(decoded, pictures[4:], strict=True):
        np.testing.assert_allclose(image, _pillow_pixels(picture), atol=0.02)
    assert decoded.min() >= 0.0
    assert decoded.max() <= 1.0


def test_a_grey_model_takes_colour_pictures(pictures):
    decoded = request_images.decode_images(tf.constant(pictures), (8, 10, 1)).numpy()
    assert decoded.shape == (6, 8, 10, 1)
    for number in (1, 2):
        grey = np.asarray(Image.open(io.BytesIO(pictures[number])).convert("L")) / 255.0
        np.testing.assert_allclose(decoded[number, :, :, 0], grey, atol=0.05)


def test_versions_count_up_and_nothing_is_overwritten(model, tmp_path):
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "mine").write_text("kept")
    for expected in ("3", "4"):
        version = saved_model.export(model, tmp_path, image_shape=(8, 10, 3))
        assert version.name == expected
        assert (version / "saved_model.pb").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3", "4"]
    assert (tmp_path / "2" / "mine").read_text() == "kept"


def test_a_failed_export_leaves_nothing(model, tmp_path, monkeypatch):
    def fail(archive, folder, *_, **__):
        pathlib.Path(folder).mkdir()
        raise OSError("no space left on device")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match="no space"):
        saved_model.export(model, tmp_path, image_shape=(8, 10, 3))
    assert not list(tmp_path.iterdir())


def test_the_backbone_must_come_first(model, tmp_path):
    inputs = keras.Input((8, 10, 3))
    model = keras.Model(inputs, model(keras.layers.Rescaling(2.0)(inputs)))
    with pytest.raises(UserError, match="backbone"):
        saved_model.export(model, tmp_path, image_shape=(8, 10, 3))


def test_a_folder_that_tensorflow_could_not_read(model, tmp_path):
    with pytest.raises(UserError, match="pattern"):
        saved_model.export(model, tmp_path / "run [1]", image_shape=(8, 10, 3))
    assert not list(tmp_path.iterdir())
