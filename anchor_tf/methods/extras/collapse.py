"""A watch for collapse: all embeddings at one point, from which a contrastive loss has no way out."""

import warnings
from collections.abc import Callable

import keras
import tensorflow as tf

TOLERANCE = 1e-3  # between the loss and its value where all similarities are equal
STEPS = 20  # in which it must stay there, at least


class Collapse:
    """Counts the steps since which a loss has its value where all similarities are equal.

    It is no part of the method's state: a continued run counts anew.
    """

    def __init__(self):
        self._steps = tf.Variable(
            # Of 64 bits: XLA does not find one of 32 on a GPU.
            tf.constant(0, tf.int64),
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    @property
    def steps(self) -> int:
        """Their number up to now."""
        return int(self._steps.numpy())

    def observe(self, losses: tf.Tensor, others: int | tf.Tensor) -> None:
        """Looks at a step.

        Args:
            losses: [N]; rows of 0 have no positives and do not count.
            others: how many embeddings each row is contrasted with, its positives included.
        """
        losses = tf.stop_gradient(losses)
        counted = losses != 0.0
        value = tf.math.log(tf.cast(others, tf.float32))
        away = tf.reduce_sum(tf.where(counted, tf.abs(losses - value), 0.0))
        number = tf.reduce_sum(tf.cast(counted, tf.float32))
        stays = (number > 0.0) & (away < TOLERANCE * number)
        self._steps.assign(tf.where(stays, self._steps.read_value() + 1, 0))


class CollapseWatch(keras.callbacks.Callback):
    """Warns, once, at the end of an epoch in which the loss has stayed at that value.

    Args:
        tell: receives the warning; Python's warnings by default.
    """

    def __init__(self, tell: Callable[[str], None] = warnings.warn):
        super().__init__()
        self._tell, self._told, self._steps = tell, False, 0

    def on_epoch_begin(self, epoch, logs=None):
        self._steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self._steps += 1

    def on_epoch_end(self, epoch, logs=None):
        if self._told or self.model.collapse is None:
            return
        if self.model.collapse.steps >= max(STEPS, self._steps):
            self._told = True
            self._tell(
                "the contrastive loss stays at its value where all similarities are equal: all "
                "embeddings are one point and nothing is learned; lower the learning rate, clip "
                "the gradient (clip_norm), or start from another seed"
            )
