"""TF Serving's two interfaces, as documented, in front of a SavedModel: to try clients on.

gRPC goes through the official service and message types; REST answers what its documentation says
of requests in row format.
"""

import base64
import contextlib
import http.server
import json
import threading
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict, of one model."""

    def __init__(self, name, signatures):
        self.name, self.signatures = name, signatures

    def Predict(self, request, context):  # noqa: N802  the service's name for it
        if request.model_spec.name != self.name:
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found for request")
        signature = self.signatures[request.model_spec.signature_name or "serving_default"]
        inputs = {
            name: tf.constant(tf.make_ndarray(tensor), tf.dtypes.as_dtype(tensor.dtype))
            for name, tensor in request.inputs.items()
        }
        try:
            outputs = signature(**inputs)
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        for name, values in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(values.numpy()))
        return response


@contextlib.contextmanager
def grpc_server(name, signatures):
    """Serves on a free port of this machine; gives its address."""
    server = grpc.server(futures.ThreadPoolExecutor(1))
    service = Service(name, signatures)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@contextlib.contextmanager
def rest_server(name, signatures):
    """Serves on a free port of this machine; gives the address of the model."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = 404, {"error": f"Malformed request: POST {self.path}"}
            if self.path == f"/v1/models/{name}:predict":
                status, answer = _rest_answer(body, signatures)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/models/{name}"
        finally:
            server.shutdown()
            thread.join()


def _rest_answer(body, signatures):
    """Status and JSON for a request in row format to a signature with one input."""
    signature = signatures[body.get("signature_name", "serving_default")]
    ((name, spec),) = signature.structured_input_signature[1].items()
    instances = body["instances"]
    if spec.dtype == tf.string:
        instances = [base64.b64decode(one["b64"], validate=True) for one in instances]
    try:
        outputs = signature(**{name: tf.constant(instances, spec.dtype)})
    except tf.errors.InvalidArgumentError as error:
        return 400, {"error": error.message}
    arrays = {key: np.asarray(values).tolist() for key, values in outputs.items()}
    if len(arrays) == 1:
        return 200, {"predictions": next(iter(arrays.values()))}
    rows = zip(*arrays.values(), strict=True)
    return 200, {"predictions": [dict(zip(arrays, row, strict=True)) for row in rows]}
