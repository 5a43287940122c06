"""The warm-up file as TF Serving reads it: PredictionLog records that each signature answers."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from anchor_tf.serving import warm_up

MOST = 1000  # records; TF Serving refuses a version with more


@pytest.fixture(scope="module")
def requests(version):
    path = version / "assets.extra" / "tf_serving_warmup_requests"
    assert path.stat().st_size < 2000
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    assert 0 < len(records) <= MOST
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    assert {log.WhichOneof("log_type") for log in logs} == {"predict_log"}
    return [log.predict_log.request for log in logs]


def test_every_signature_answers(requests, version, expected):
    signatures = tf.saved_model.load(str(version)).signatures
    names = [request.model_spec.signature_name for request in requests]
    assert sorted(names) == sorted(signatures)
    grey = expected(np.full((1, 16, 12, 3), 0.5, np.float32))
    for request in requests:
        inputs = {
            name: tf.constant(tf.make_ndarray(tensor), tf.dtypes.as_dtype(tensor.dtype))
            for name, tensor in request.inputs.items()
        }
        for name, values in signatures[request.model_spec.signature_name](**inputs).items():
            # The picture's grey is 128 of 255, not one half.
            np.testing.assert_allclose(values, grey[name], atol=0.02)
            assert len(values) == 1


def test_a_batch_of_one_image_is_sent(requests):
    shapes = {
        request.model_spec.signature_name: [
            [dim.size for dim in tensor.tensor_shape.dim] for tensor in request.inputs.values()
        ]
        for request in requests
    }
    assert shapes == {
        "serving_default": [[1, 16, 12, 3]],
        "embed": [[1, 16, 12, 3]],
        "serve_bytes": [[1]],
    }


def test_the_file_is_the_same_every_time(version, tmp_path):
    warm_up.write(tmp_path, warm_up.requests((16, 12, 3)))
    again = (tmp_path / warm_up.FILE).read_bytes()
    assert again == (version / warm_up.FILE).read_bytes()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_picture_has_the_models_channels(channels):
    request = warm_up.requests((8, 8, channels))[2]
    (encoded,) = tf.make_ndarray(request.inputs["image_bytes"])
    assert tf.io.decode_png(encoded).shape == (8, 8, channels)
