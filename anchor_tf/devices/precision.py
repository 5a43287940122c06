"""Mixed precision: networks in 16 bits where that is faster, losses and reports in 32."""

from typing import Any

import keras
import tensorflow as tf

from anchor_tf import choices
from anchor_tf.errors import UserError

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
# An objective is raised so many times, or its gradient at the pixels would round to zero in
# float16; neither the sign nor the direction of the gradient changes.
FLOAT16_SCALE = 2.0**10


def use(precision: str, replicas: int) -> None:
    """Makes the layers built from now on compute in this precision; their weights stay float32.

    Args:
        precision: "float32", "bfloat16" or "float16".
        replicas: how many train together.

    Raises:
        UserError: another precision, one that the device cannot convolve in, or float16 on several
            replicas.
    """
    choices.check("precision", precision, POLICIES)
    if precision == "float16" and replicas > 1:
        raise UserError(
            "--precision=float16 works on one device only: its loss scaling sees the gradients of "
            "the first replica alone; take bfloat16"
        )
    if precision != "float32":
        _try_out(precision)
    keras.config.set_dtype_policy(POLICIES[precision])


def in_float32(model: keras.Model) -> keras.Model:
    """The same functional model, its weights shared by value, with every layer in float32."""
    current = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # of the models, which their configuration leaves out
    try:
        return as_set(model)
    finally:
        keras.config.set_dtype_policy(current)


def as_set(model: keras.Model) -> keras.Model:
    """The same functional model with every layer in the precision that `use` has set."""
    policy = keras.config.dtype_policy().name
    twin = type(model).from_config(_replaced(model.get_config(), policy))
    twin.set_weights(model.get_weights())
    return twin


def _replaced(config: Any, policy: str) -> Any:
    """A layer's configuration with another policy in place of each one in it."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return {**config, "config": {"name": policy}}
        return {key: _replaced(value, policy) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(_replaced(value, policy) for value in config)
    return config


def _try_out(precision: str) -> None:
    dtype = tf.as_dtype(precision)
    images, kernel = tf.ones([1, 4, 4, 1], dtype), tf.ones([3, 3, 1, 1], dtype)
    try:
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            total = tf.reduce_sum(tf.nn.conv2d(images, kernel, 1, "SAME"))
        tape.gradient(total, [images, kernel])
    except (tf.errors.OpError, NotImplementedError) as error:
        raise UserError(
            f"--precision={precision}: this device cannot convolve in it: take float32, or auto"
        ) from error
