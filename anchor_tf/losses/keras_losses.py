"""The losses as Keras has them: for `compile`, and kept in saved models."""

import keras
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.losses import pair_margin as pair_margins
from anchor_tf.losses import supcon
from anchor_tf.losses.boosted import boosted_cross_entropy
from anchor_tf.losses.labelled_pairs import integers
from anchor_tf.losses.unit_length import unit_length

_PACKAGE = "anchor_tf"
_EXACT = 2**24  # float32 holds all integers up to here


class _OfLabels(keras.losses.Loss):
    """A loss whose `call` gets labels as integers [B], which Keras would cast to floats first."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        return _Rows(self, _labels(y_true))(y_true, y_pred, sample_weight)


class _Rows(keras.losses.Loss):
    """The rows of another loss on given labels, reduced as Keras does."""

    def __init__(self, loss: _OfLabels, labels: tf.Tensor):
        super().__init__(name=loss.name, reduction=loss.reduction, dtype=loss.dtype)
        self._loss, self._labels = loss, labels

    def call(self, y_true, y_pred):
        return self._loss.call(self._labels, y_pred)


@keras.saving.register_keras_serializable(_PACKAGE)
class SupervisedContrastive(_OfLabels):
    """`losses.supcon.supervised_contrastive` of a batch with itself.

    `y_true` are integers [B] or [B, 1] of up to 64 bits (floats only below 2**24, up to which they
    are exact), `y_pred` embeddings [B, D] of any length, which are normalised first. The gradient
    stays bounded where an embedding is near 0 (see `losses.unit_length`).

    Args:
        temperature: tau, above 0.
        beta: hardness; 0 weighs all positives alike.
        positives: keep only this many positives of each row, the least similar ones.
        name: of the loss, in logs.
        **named: further arguments of `keras.losses.Loss`.

    Raises:
        UserError: temperature not above 0 or positives below 1; in the call, labels that are not
            one integer a row.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        beta: float = 0.0,
        positives: int | None = None,
        name: str = "supervised_contrastive",
        **named,
    ):
        super().__init__(name=name, **named)
        supcon.check_arguments(temperature, positives)
        self.temperature, self.beta, self.positives = temperature, beta, positives

    def call(self, y_true, y_pred):
        return supcon.supervised_contrastive(
            _unit(y_pred),
            y_true,
            temperature=self.temperature,
            beta=self.beta,
            positives=self.positives,
        )

    def get_config(self):
        own = {"temperature": self.temperature, "beta": self.beta, "positives": self.positives}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(_PACKAGE)
class PairMargin(_OfLabels):
    """`losses.pair_margin.pair_margin` of a batch with itself; inputs as above.

    Args:
        margin: m in (0, 2].
        name: of the loss, in logs.
        **named: further arguments of `keras.losses.Loss`.

    Raises:
        UserError: margin outside (0, 2]; in the call, labels that are not one integer a row.
    """

    def __init__(self, margin: float = 1.0, name: str = "pair_margin", **named):
        super().__init__(name=name, **named)
        pair_margins.check_margin(margin)
        self.margin = margin

    def call(self, y_true, y_pred):
        return pair_margins.pair_margin(_unit(y_pred), y_true, margin=self.margin)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}


@keras.saving.register_keras_serializable(_PACKAGE)
class BoostedCrossEntropy(_OfLabels):
    """`losses.boosted.boosted_cross_entropy`: `y_true` integers, `y_pred` logits [B, K].

    Args:
        name: of the loss, in logs.
        **named: further arguments of `keras.losses.Loss`.
    """

    def __init__(self, name: str = "boosted_cross_entropy", **named):
        super().__init__(name=name, **named)

    def call(self, y_true, y_pred):
        return boosted_cross_entropy(y_pred, y_true)


def _unit(embeddings) -> tf.Tensor:
    return unit_length(tf.cast(embeddings, tf.float32))


def _labels(y_true) -> tf.Tensor:
    """Labels [B] as integers.

    Raises:
        UserError: they are not one number a row, or floats that may have lost digits.
    """
    labels = tf.convert_to_tensor(y_true)
    if labels.shape.rank not in (1, 2) or (labels.shape.rank == 2 and labels.shape[1] != 1):
        raise UserError(
            f"y_true should hold one integer a row, [B] or [B, 1], not {tuple(labels.shape)}: "
            "give class numbers for one-hot rows"
        )
    labels = tf.reshape(labels, [-1])
    if labels.dtype.is_integer:
        return integers(labels)
    message = f"y_true holds {labels.dtype.name} of 2**24 or more, which round: give integers"
    largest = tf.reduce_max(tf.abs(tf.cast(labels, tf.float64)))
    if tf.executing_eagerly():
        if largest >= _EXACT:
            raise UserError(message)
        return tf.cast(labels, tf.int32)
    with tf.control_dependencies([tf.debugging.Assert(largest < _EXACT, [message])]):
        return tf.cast(labels, tf.int32)
