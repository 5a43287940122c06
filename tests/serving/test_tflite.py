"""model.tflite in TFLite's interpreter equals the Keras model."""

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.serving import tflite_model
from tests.serving.conftest import SHAPE


@pytest.fixture(scope="module")
def runner(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("tflite") / "deep" / "model.tflite"
    tflite_model.write(model, path, image_shape=SHAPE)
    assert [one.name for one in path.parent.iterdir()] == ["model.tflite"]
    with pytest.warns(UserWarning, match="deprecated"):  # in favour of a package of its own
        interpreter = tf.lite.Interpreter(str(path))
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["images"], "outputs": ["label", "logits", "probabilities"]}
    }
    return interpreter.get_signature_runner("serving_default")


@pytest.mark.parametrize("size", [1, 7, 3])
def test_equals_the_model(runner, expected, images, size):
    answer, wanted = runner(images=images[:size]), expected(images[:size])
    for name in ("logits", "probabilities"):
        assert answer[name].dtype == np.float32
        assert np.isfinite(answer[name]).all()
        np.testing.assert_allclose(answer[name], wanted[name], atol=1e-4, rtol=0)
    np.testing.assert_array_equal(answer["label"], wanted["label"])
    assert answer["label"].dtype == np.int64
