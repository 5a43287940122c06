"""Asks TF Serving's gRPC interface what the images of an .npy file show.

python docs/serving/ask_grpc.py localhost:8500 digits images.npy
"""

import sys

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


def main() -> None:
    """Sends float32 images [B, H, W, C] in [0, 1] and prints label and probability of each."""
    address, model, path = sys.argv[1:]
    images = np.load(path).astype(np.float32)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model  # .version.value = 2 would ask version 2, not the latest
    request.model_spec.signature_name = "serving_default"
    request.inputs["images"].CopyFrom(tf.make_tensor_proto(images))
    with grpc.insecure_channel(address) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            outputs = service.Predict(request, timeout=60).outputs
        except grpc.RpcError as error:
            sys.exit(f"refused: {error.details()}")
    labels, probabilities = (tf.make_ndarray(outputs[name]) for name in ("label", "probabilities"))
    for number, label in enumerate(labels):
        print(f"{number}: {label} ({100 * probabilities[number, label]:.1f} %)")


if __name__ == "__main__":
    main()
