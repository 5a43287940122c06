"""The losses as Keras has them: for `compile`, and kept in saved models."""

import keras
import tensorflow as tf

from anchor_tf.losses.boosted import boosted_cross_entropy
from anchor_tf.losses.pair_margin import pair_margin
from anchor_tf.losses.supcon import supervised_contrastive

_PACKAGE = "anchor_tf"


@keras.saving.register_keras_serializable(_PACKAGE)
class SupervisedContrastive(keras.losses.Loss):
    """`losses.supcon.supervised_contrastive` of a batch with itself.

    `y_true` are integers [B] or [B, 1], `y_pred` embeddings [B, D] of any length, which are
    normalised first.

    Args:
        temperature: tau, above 0.
        beta: hardness; 0 weighs all positives alike.
        positives: keep only this many positives of each row, the least similar ones.
        name: of the loss, in logs.
        **named: further arguments of `keras.losses.Loss`.
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
        self.temperature, self.beta, self.positives = temperature, beta, positives

    def call(self, y_true, y_pred):
        return supervised_contrastive(
            _unit(y_pred),
            _labels(y_true),
            temperature=self.temperature,
            beta=self.beta,
            positives=self.positives,
        )

    def get_config(self):
        own = {"temperature": self.temperature, "beta": self.beta, "positives": self.positives}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(_PACKAGE)
class PairMargin(keras.losses.Loss):
    """`losses.pair_margin.pair_margin` of a batch with itself; inputs as above.

    Args:
        margin: m in (0, 2].
        name: of the loss, in logs.
        **named: further arguments of `keras.losses.Loss`.
    """

    def __init__(self, margin: float = 1.0, name: str = "pair_margin", **named):
        super().__init__(name=name, **named)
        self.margin = margin

    def call(self, y_true, y_pred):
        return pair_margin(_unit(y_pred), _labels(y_true), margin=self.margin)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}


@keras.saving.register_keras_serializable(_PACKAGE)
class BoostedCrossEntropy(keras.losses.Loss):
    """`losses.boosted.boosted_cross_entropy`: `y_true` integers, `y_pred` logits [B, K].

    Args:
        name: of the loss, in logs.
        **named: further arguments of `keras.losses.Loss`.
    """

    def __init__(self, name: str = "boosted_cross_entropy", **named):
        super().__init__(name=name, **named)

    def call(self, y_true, y_pred):
        return boosted_cross_entropy(y_pred, _labels(y_true))


def _unit(embeddings) -> tf.Tensor:
    return tf.math.l2_normalize(tf.cast(embeddings, tf.float32), axis=-1)


def _labels(y_true) -> tf.Tensor:
    return tf.cast(tf.reshape(y_true, [-1]), tf.int32)
