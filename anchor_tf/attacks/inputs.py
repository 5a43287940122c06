"""What every attack accepts: tensors, NumPy arrays or lists, and models of any kind."""

import functools
import inspect
import warnings
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from anchor_tf import choices, keyed_random
from anchor_tf.attacks import pixels
from anchor_tf.attacks.array_calls import ArrayCall
from anchor_tf.errors import UserError
from anchor_tf.models import memory
from anchor_tf.models.classifier import Classifier, Facts, OutputWarning

_OWN_FRAMES = 3  # between a warning and the user's call


def takes_arrays(attack: Callable, *, eagerly: Callable | None = None) -> Callable:
    """Lets images and labels of an attack (logits_fn, x, y, threat, seed, x_init, ...) be arrays.

    Images become float32; labels, [B] or [B, 1] and whole numbers of any type, int32 [B]. The
    model may be a Keras model, which runs in inference mode, or a function (see
    `models.classifier`).

    Called outside of a graph, the attack runs compiled, on `batch_size` images at a time (128 by
    default; the last batch is filled with repeated images, an example's random numbers do not
    depend on it). What is compiled is kept as long as the model lives: a second call with the same
    model, arguments and shapes does not trace again. Weights are read anew in every call; a
    change of the model's layers, of `trainable`, of a dtype policy or of a Python value that a
    function refers to is noticed and traced. Keras models and functions are kept by a weak
    reference: a lambda written in the call lives and is traced for that call alone.

    Labels outside [0, K) are refused where their values are known: outside of a graph always,
    within one if they are constants.

    Args:
        attack: what runs on one batch, in a graph.
        eagerly: what runs outside of a graph instead, (call, threat, start, **arguments) ->
            images; `attack` on every batch by default.

    Raises:
        UserError: by the attack, where an option is none of the known ones, images are not floats
            (grey levels from 0 to 255, say), labels not integers in [0, K), one an image, or
            outputs no logits; where the model takes integers, and where pixels are known to be
            outside the threat's box (see `pixels`).
    """
    parameters = inspect.signature(attack).parameters
    if "batch_size" in parameters:
        raise TypeError("batch_size is an argument of every attack: name yours differently")
    own = {p.name: p.default for p in parameters.values() if p.kind is p.KEYWORD_ONLY}
    defaults = {name: value for name, value in own.items() if value is not inspect.Parameter.empty}

    @functools.wraps(attack)
    def accepting(
        logits_fn, x, y, threat, seed=0, x_init=None, *, batch_size: int = 128, **arguments
    ):
        choices.check_literals(attack, arguments, f"attack {attack.__name__}")
        x, y = _images(x), _labels(y)
        if x.shape.rank is not None and not x.shape[:1].is_compatible_with(y.shape):
            raise UserError(f"y should be one label an image, [{x.shape[0]}], not {y.shape}")
        start = x_init if x_init is None else _images(x_init)
        pixels.check_call(inference(logits_fn).model, x, start, threat)
        if not tf.executing_eagerly():
            classifier = inference(logits_fn).for_labels(tf.get_static_value(y))
            found = attack(classifier, x, y, threat, seed, start, **arguments)
            if not isinstance(logits_fn, Classifier):  # of which its maker tells
                _warn(classifier.facts)
            return found
        if batch_size < 1:
            raise UserError(f"batch_size {batch_size} should be at least 1")
        keys, arguments = keyed_random.as_keys(seed, x), defaults | arguments
        model = inference(logits_fn).model
        with memory.of(model) as known:
            call = ArrayCall(model, known, x, y, keys, batch_size)
            _warn(call.facts)
            if eagerly is not None:
                return eagerly(call, threat, start, **arguments)
            return call.run(attack, threat, start, **arguments)

    return accepting


def inference(model: keras.Model | Callable) -> Classifier:
    """The model as a function images -> float32 logits, without dropout or batch statistics."""
    return model if isinstance(model, Classifier) else Classifier(model)


def per_image(values: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Values [B] as [B, 1, ...], to go with images [B, ...]."""
    return tf.reshape(values, [-1] + [1] * (images.shape.rank - 1))


def whole_numbers(labels: np.ndarray) -> np.ndarray:
    """Labels [N] or [N, 1], bools, integers or floats that are whole, as int32 [N].

    Raises:
        UserError: they are something else.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype == bool:
        return labels.astype(np.int32)
    if not np.issubdtype(labels.dtype, np.number) or labels.ndim != 1:
        raise UserError(
            f"y holds {labels.dtype.name} {labels.shape}: labels should be integers, one an image, "
            "not one-hot rows"
        )
    limits = np.iinfo(np.int32)
    # A NaN is not whole either.
    if not ((labels >= limits.min) & (labels <= limits.max) & (labels == np.rint(labels))).all():
        raise UserError(f"y holds {labels.dtype.name}: labels should be integers")
    return labels.astype(np.int32)


def _warn(facts: Facts) -> None:
    for warning in facts.warnings():
        warnings.warn(warning, OutputWarning, stacklevel=_OWN_FRAMES)


def _images(value) -> tf.Tensor:
    tensor = value if tf.is_tensor(value) else tf.convert_to_tensor(np.asarray(value))
    if not tensor.dtype.is_floating:
        raise UserError(f"x holds {tensor.dtype.name}: images should be floats in the box, [0, 1]")
    return tf.cast(tensor, tf.float32)


def _labels(value) -> tf.Tensor:
    """Labels as int32 [B]; floats are rounded down where their values are not known."""
    if tf.is_tensor(value) and not tf.executing_eagerly():
        known = tf.get_static_value(value)
        if known is None:
            narrow = value.shape.rank == 2 and value.shape[1] == 1
            return tf.cast(tf.squeeze(value, 1) if narrow else value, tf.int32)
        value = known
    return tf.constant(whole_numbers(np.asarray(value)))
