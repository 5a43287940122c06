import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.backbones.small import small
from anchor_tf.errors import UserError
from anchor_tf.evaluation import inputs
from anchor_tf.models import model_file


def test_saved_and_loaded(tmp_path):
    model = small((8, 8, 1), [0.5], [0.25], width=2)
    model_file.save(model, tmp_path / "model.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    images = tf.random.stateless_uniform([3, 8, 8, 1], [0, 1])
    np.testing.assert_allclose(model_file.load(tmp_path / "model.keras")(images), model(images))


def test_missing_and_damaged_files_are_refused(tmp_path):
    path = tmp_path / "model.keras"
    with pytest.raises(UserError, match="missing"):
        model_file.load(path)
    model_file.save(small((8, 8, 1), [0.5], [0.25], width=2), path)
    content = path.read_bytes()
    for damaged in (b"", b"not a model", content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="cannot be read"):
            model_file.load(path)


def test_a_file_cannot_bring_code(tmp_path):
    inputs = keras.Input([2])
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs))
    model.save(tmp_path / "model.keras")
    with pytest.raises(UserError, match="cannot be read"):
        model_file.load(tmp_path / "model.keras")


class Scaled(tf.Module):
    """A SavedModel without variables: its factor is a constant of the graph."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="images")])
    def serve(self, images):
        return {"logits": self.factor * images}


def test_the_digest_tells_models_apart_that_have_no_variables(tmp_path):
    for name, factor in (("one", 1.0), ("two", 2.0)):
        module = Scaled(factor)
        tf.saved_model.save(module, str(tmp_path / name), module.serve)
    models = {name: model_file.load(tmp_path / name) for name in ("one", "two")}
    assert models["one"].weights == models["two"].weights == []
    assert models["one"].digest != models["two"].digest
    assert models["one"].digest == model_file.load(tmp_path / "one").digest
    assert models["one"].input_shape == models["one"].output_shape == (None, 4)
    images = np.zeros((2, 8, 8, 1), np.float32)
    with pytest.raises(UserError, match=r"takes images \(4,\), the data has \(8, 8, 1\)"):
        inputs.check_input(models["one"], images)


@pytest.mark.parametrize(
    ("dtype", "count", "message"),
    [
        (tf.uint8, None, "should take floats in .0, 1., not uint8"),
        (tf.float32, 1, "takes batches of 1 alone"),
    ],
)
def test_images_that_evaluation_does_not_give_are_refused(tmp_path, dtype, count, message):
    module = tf.Module()
    takes = tf.TensorSpec([count, 4], dtype, name="images")
    module.serve = tf.function(lambda images: {"logits": tf.cast(images, tf.float32)}, [takes])
    tf.saved_model.save(module, str(tmp_path), module.serve)
    with pytest.raises(UserError, match=message):
        model_file.load(tmp_path)


def test_images_are_given_in_the_precision_that_a_saved_model_takes(tmp_path):
    module = tf.Module()
    takes = tf.TensorSpec([None, 4], tf.float16, name="images")
    module.serve = tf.function(lambda images: {"logits": 2 * images}, [takes])
    tf.saved_model.save(module, str(tmp_path), module.serve)
    np.testing.assert_array_equal(model_file.load(tmp_path)(tf.ones([2, 4])), 2 * np.ones([2, 4]))
