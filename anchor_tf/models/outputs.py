"""What a model returns: its only output, and what came last before it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from anchor_tf.errors import UserError

_TRANSPARENT = ("Identity", "Cast", "Reshape", "Squeeze", "ExpandDims", "EnsureShape")
_ACTIVATIONS = {"Sigmoid": "sigmoid", "Softmax": "softmax"}
_PRODUCTS = ("MatMul", "BatchMatMulV2", "Conv2D", "Einsum")


def only(outputs: Any):
    """The only output in a tensor, dict, list or tuple.

    Raises:
        UserError: there is none, or there are several.
    """
    if isinstance(outputs, Mapping | list | tuple):
        if len(outputs) == 1:
            return only(*(outputs.values() if isinstance(outputs, Mapping) else outputs))
        raise UserError(_several(outputs))
    return outputs


def logits_named(outputs: Mapping[str, Any], subject) -> str:
    """The name of what a signature returns: "logits", or its only output.

    Raises:
        UserError: it returns several outputs, none of them named logits.
    """
    if "logits" in outputs:
        return "logits"
    if len(outputs) != 1:
        raise UserError(
            f"{subject} has no signature serving_default that returns logits, but "
            f"{', '.join(sorted(outputs)) or 'nothing'}: export it with the logits alone"
        )
    return next(iter(outputs))


def checked(found) -> tf.Tensor:
    """An output as a tensor [B, K], or [B, 1] where it is [B].

    Raises:
        UserError: it is neither, or no floating-point numbers.
    """
    try:
        found = tf.convert_to_tensor(found)
    except (TypeError, ValueError) as error:
        kind = type(found).__name__
        raise UserError(f"the model should return logits [B, K], not {kind}") from error
    if not found.dtype.is_floating:
        raise UserError(
            f"the model returns {found.dtype.name}: it should return logits [B, K], not labels"
        )
    if found.shape.rank == 1:
        return found[:, tf.newaxis]
    if found.shape.rank not in (None, 2) or found.shape[-1:] == [0]:
        raise UserError(
            f"the model should return logits [B, K], one row an image, not {found.shape}"
        )
    return found


def last_activation(found: tf.Tensor) -> tuple[str | None, tf.Tensor | None]:
    """What stands last in the graph of an output.

    Returns:
        "sigmoid", "softmax", "linear", or None where it cannot be read; and of a sigmoid or
        softmax what it was given, where this has as many entries as the output.
    """
    if tf.executing_eagerly() or not isinstance(found, tf.Tensor):
        return None, None
    size = found.shape[-1] if found.shape.rank == 2 else 1
    operation, whole = found.op, True
    while operation.type in (*_TRANSPARENT, "StridedSlice"):
        found = operation.inputs[0]
        sliced = operation.type == "StridedSlice" and found.shape[-1:] != [size]
        operation, whole = found.op, whole and not sliced
    if operation.type in _ACTIVATIONS:
        return _ACTIVATIONS[operation.type], operation.inputs[0] if whole else None
    return ("linear" if _is_linear(operation) else None), None


def _is_linear(operation: tf.Operation) -> bool:
    """Whether an operation is a product with weights, or the sum of one and a bias."""
    if operation.type in _PRODUCTS:
        return any(_is_weight(part.op) for part in operation.inputs)
    if operation.type in ("BiasAdd", "AddV2"):
        product, bias = (part.op for part in operation.inputs)
        return _is_weight(bias) and _is_linear(_behind(product))
    return False


def _is_weight(operation: tf.Operation) -> bool:
    return _behind(operation).type == "ReadVariableOp"


def _behind(operation: tf.Operation) -> tf.Operation:
    while operation.type in _TRANSPARENT:
        operation = operation.inputs[0].op
    return operation


def _several(outputs) -> str:
    """The message where there are several outputs, or none."""
    if isinstance(outputs, Mapping):
        names = sorted(map(str, outputs))
        shown, example = f": {', '.join(names)}" if names else "", repr((names or ["logits"])[0])
        example = example.replace("'", '"')
    else:
        shown, example = "", "0"
    return (
        f"the model returns {len(outputs)} outputs{shown}: choose the logits, for example by "
        f"lambda x: model(x)[{example}]"
    )


def is_saturated(probabilities: np.ndarray) -> np.ndarray:
    """Where a probability has rounded to 0 or 1."""
    return (probabilities <= 0.0) | (probabilities >= 1.0)
