"""Any model as attacks and evaluation see it: images to float32 logits, in inference mode."""

import contextlib
import copy
import dataclasses
import inspect
import weakref
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state

from anchor_tf.errors import UserError
from anchor_tf.models import memory, outputs

_ROUNDING = 1e-2  # that of 16 bits, over the sum of many classes
_CALL_CONTEXT = "current_call_ctx"
_TINY, _NEARLY_ONE = np.float32(1.2e-38), np.float32(1.0 - 2.0**-24)


class OutputWarning(UserWarning):
    """A model's outputs are not what attacks need: figures may be too good."""


@dataclasses.dataclass
class Facts:
    """What a model's outputs have told so far.

    Attributes:
        columns: K as the model returns it; 1 for a single output.
        activation: "sigmoid", "softmax" or "linear" where the last activation can be read.
        reachable: whether what a single output's sigmoid was given can be read.
        seen: whether outputs on clean images were looked at.
        outside: whether one of them lay outside [0, 1] beyond rounding.
        summed: whether their sums were 1, up to rounding.
        saturated: share of a single output's probabilities that have rounded to 0 or 1.
    """

    columns: int | None = None
    activation: str | None = None
    reachable: bool = False
    seen: bool = False
    outside: bool = False
    summed: bool = True
    saturated: float = 0.0

    @property
    def classes(self) -> int | None:
        """K as attacks see it: a single output stands for two classes."""
        return 2 if self.columns == 1 else self.columns

    @property
    def settled(self) -> bool:
        """Whether further outputs on clean images would tell nothing new."""
        return self.seen and (self.outside or self.activation is not None)

    @property
    def probabilities(self) -> bool:
        """Whether the outputs are probabilities: by the last activation, else by themselves."""
        if self.activation is not None:
            return self.activation != "linear"
        return self.seen and not self.outside

    def look(self, found: np.ndarray) -> None:
        """Takes in outputs on clean images, [N, columns]."""
        self.seen, self.columns = True, found.shape[1]
        # Written so that NaN counts as outside.
        inside = (found >= -_ROUNDING) & (found <= 1.0 + _ROUNDING)
        self.outside |= not inside.all()
        self.summed &= bool((np.abs(found.sum(axis=1) - 1.0) <= _ROUNDING).all())
        if self.columns == 1 and self.probabilities:
            self.saturated = float(outputs.is_saturated(found).mean())

    def warnings(self) -> list[str]:
        """What makes figures doubtful, a sentence each."""
        if self.columns != 1 and self.probabilities:
            kind = "" if self.summed else " (one for each class)"
            return [
                f"the model's outputs look like probabilities{kind}: attacks need logits, and its "
                "robust accuracy may be overestimated"
            ]
        if not self.saturated:
            return []
        share = f"the model's sigmoid is saturated: {100 * self.saturated:.1f} % of the clean "
        if self.reachable:
            return [share + "outputs round to 0 or 1; attacks follow the logit before it"]
        return [
            share + "outputs round to 0 or 1, where attacks find no gradient, and its robust "
            "accuracy may be overestimated: return the logit"
        ]

    def notes(self) -> list[str]:
        """What a report says of the outputs besides, a sentence each."""
        if self.columns != 1:
            return []
        if not self.probabilities:
            kind = "a linear output z"
        elif self.reachable:
            kind = "a sigmoid of z"
        else:
            kind = "a probability p, of which z = log p - log(1 - p)"
        return [f"the model has one output, {kind}: it is attacked as the logits [0, z]"]


class Classifier:
    """A model as a function, images [B, ...] -> float32 logits [B, K].

    A Keras model or layer runs in inference mode, whatever surrounds the call; what a function
    does is its own affair. The only output of a dict or list is taken. A single output [B, 1] or
    [B] becomes the logits [0, z]: z is what its sigmoid was given where the graph tells, log p -
    log(1 - p) of another probability p, else the output itself. It is taken for a probability if
    the last activation is a sigmoid or softmax, or where that cannot be read if no clean output
    seen so far lay outside [0, 1]. The logits and their gradient at the images are known to be a
    batch like them.

    Args:
        model: Keras model or layer, or function; or another `Classifier`, for its model.
        weakly: whether to leave the model's life to others.

    Attributes:
        facts: what the outputs have told so far; brought up to date by tracing and by `look`.

    Raises:
        UserError: no model, or one of several inputs; when called, outputs that are no logits.
    """

    def __init__(self, model: Callable, weakly: bool = False):
        if isinstance(model, Classifier):
            model = model.model
        _check(model)
        self._reference = _weak(model) if weakly else (lambda: model)
        self.facts = memory.facts_of(model) or Facts()
        self._labels = None
        self._compiled = None

    @property
    def model(self) -> Callable:
        """The model itself."""
        return self._reference()

    def for_labels(self, labels) -> "Classifier":
        """The same, which checks labels [B] as soon as K is known, if they are."""
        other = copy.copy(self)
        other._labels = labels
        return other

    def outputs(self, images: tf.Tensor) -> tf.Tensor:
        """The model's outputs as it returns them, float32 [B, columns]."""
        return self._outputs(images)[0]

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        if tf.executing_eagerly():
            self._compiled = self._compiled or tf.function(self._logits, autograph=False)
            return self._compiled(images)
        return self._logits(images)

    def _logits(self, images):
        found, before = self._outputs(images)
        logits = found if found.shape[-1] != 1 else self._two_classes(found, before)
        if self._labels is not None:
            check_range(self._labels, logits.shape[-1])
        return logits

    def _outputs(self, images):
        # The gradient of a reshape has the shape of what was reshaped.
        given = tf.reshape(images, tf.shape(images))
        found = outputs.checked(outputs.only(self._call(given)))
        activation, before = outputs.last_activation(found)
        self.facts.activation, self.facts.reachable = activation, before is not None
        if found.shape.rank is None or found.shape[-1] is None:
            found = tf.ensure_shape(found, [None, self.facts.columns])
        self.facts.columns = found.shape[-1]
        if not found.shape[:1].is_compatible_with(images.shape[:1]):
            raise UserError(
                f"the model should return logits [B, K]: {found.shape} for B = {images.shape[0]}"
            )
        found = tf.cast(found, tf.float32)
        return tf.ensure_shape(found, [images.shape[0], *found.shape[1:]]), before

    def _call(self, images):
        model = self.model
        if not isinstance(model, keras.Layer):
            return model(images)
        with _own_call():
            return model(_as_taken(model, images), training=False)

    def _two_classes(self, found, before) -> tf.Tensor:
        """The logits [0, z] of a single output [B, 1]."""
        facts = self.facts
        if facts.activation == "softmax" and before is not None:
            raise UserError("the model's softmax over one output is always 1: use a sigmoid")
        if before is not None:
            z = tf.reshape(tf.cast(before, tf.float32), tf.shape(found))
            z = tf.ensure_shape(z, found.shape)
        elif facts.activation is None and not facts.seen:
            raise UserError(
                "the model returns one output, and within a graph nothing tells whether it is a "
                "logit or a probability: call the attack once outside of one, or return [0, z]"
            )
        elif facts.probabilities:
            probability = tf.clip_by_value(found, _TINY, _NEARLY_ONE)
            z = tf.math.log(probability) - tf.math.log1p(-probability)
        else:
            z = found
        return tf.concat([tf.zeros_like(z), z], axis=1)


def check_range(labels: np.ndarray, classes: int | None) -> None:
    """Raises UserError unless labels lie in [0, classes)."""
    if classes is None or not labels.size:
        return
    for label in (labels.min(), labels.max()):
        if not 0 <= label < classes:
            raise UserError(
                f"a label is {label}, but the model knows {classes} classes, labelled 0 to "
                f"{classes - 1}: was it trained on another dataset?"
            )


@contextlib.contextmanager
def _own_call():
    """Hides the call of an outer layer, whose training mode inner layers would take over.

    Keras has no public way: an inner call would also leave its mode to the outer layer's next.
    """
    outer = global_state.get_global_attribute(_CALL_CONTEXT)
    global_state.set_global_attribute(_CALL_CONTEXT, None)
    try:
        yield
    finally:
        global_state.set_global_attribute(_CALL_CONTEXT, outer)


def _check(model) -> None:
    if not callable(model):
        raise UserError(
            f"the model should be a Keras model or a function, images to logits, not "
            f"{type(model).__name__}"
        )
    if isinstance(getattr(model, "__self__", None), keras.Model) and model.__name__ == "predict":
        raise UserError("predict has no gradient: give the model itself")
    if not isinstance(model, keras.Layer):
        return
    taken = _inputs(model)
    if taken is None:
        parameters = list(inspect.signature(model.call).parameters.values())[1:]
        names = [p.name for p in parameters if p.default is p.empty and p.kind < p.VAR_POSITIONAL]
        names = [name for name in names if name not in ("training", "mask")]
        count, shown = 1 + len(names), ", ".join(["images", *names])
    else:
        count, shown = len(taken), ", ".join(one.name for one in taken)
    if count != 1:
        raise UserError(
            f"the model takes {count} inputs ({shown}): give a function of the images alone, "
            "for example lambda x: model([x, other])"
        )


def _inputs(model):
    """The inputs of a built functional or sequential model; None of others."""
    try:
        return list(model.inputs) if model.inputs else None
    except (AttributeError, ValueError):
        return None


def _as_taken(model, images):
    """Images as the only input of a functional model, which may have it in a dict or list."""
    taken = getattr(model, "input", None) if _inputs(model) else None
    if not isinstance(taken, dict | list | tuple):
        return images
    return tf.nest.map_structure(lambda _: images, taken)


def _weak(model) -> Callable:
    try:
        is_method = inspect.ismethod(model)
        return weakref.WeakMethod(model) if is_method else weakref.ref(model)
    except TypeError:
        return lambda: model
