"""Requests that TF Serving answers before it says that a model is ready.

A network's first answer is many times slower than the next. TF Serving therefore runs what lies in
assets.extra/tf_serving_warmup_requests while it loads a version, a TFRecord of PredictionLog.
"""

import pathlib
from collections.abc import Iterable

import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

FILE = "assets.extra/tf_serving_warmup_requests"  # the name that TF Serving looks for


def requests(image_shape: tuple[int, int, int]) -> list[predict_pb2.PredictRequest]:
    """A valid request of one grey image for every signature; one that failed would end the loading.

    They name no model: whoever serves it chooses the name, and a warm-up does not read it.

    Args:
        image_shape: height, width and channels of the model's images.
    """
    images = tf.make_tensor_proto(0.5, tf.float32, [1, *image_shape])  # stored as one number
    png = tf.io.encode_png(tf.fill(image_shape, tf.constant(128, tf.uint8)))
    image_bytes = tf.make_tensor_proto([png.numpy()], tf.string)
    return [
        _request("serving_default", images=images),
        _request("embed", images=images),
        _request("serve_bytes", image_bytes=image_bytes),
    ]


def write(folder: pathlib.Path, wanted: Iterable[predict_pb2.PredictRequest]) -> None:
    """Writes requests into the folder of a SavedModel."""
    path = folder / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in wanted:
            predict = prediction_log_pb2.PredictLog(request=request)
            log = prediction_log_pb2.PredictionLog(predict_log=predict)
            writer.write(log.SerializeToString(deterministic=True))


def _request(signature: str, **inputs) -> predict_pb2.PredictRequest:
    specification = model_pb2.ModelSpec(signature_name=signature)
    return predict_pb2.PredictRequest(model_spec=specification, inputs=inputs)
