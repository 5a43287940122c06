"""A watch for collapse: all embeddings at one point, where contrastive losses have no gradient."""

import warnings
from collections.abc import Callable

import keras
import tensorflow as tf

TOLERANCE = 1e-3  # between the loss and its value where all similarities are equal
STEPS = 20  # in which it must stay there, at least


class Collapse:
    """Counts a loss's steps, and those since which all similarities seem to be equal.

    It is no part of the method's state: a continued run counts anew.
    """

    def __init__(self):
        self._steps = tf.Variable(
            # Of 64 bits: XLA does not find one of 32 on a GPU.
            tf.zeros([2], tf.int64),
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    @property
    def steps(self) -> tuple[int, int]:
        """Both numbers."""
        seen, equal = self._steps.numpy()
        return int(seen), int(equal)

    def observe(self, losses: tf.Tensor, others: int | tf.Tensor) -> None:
        """Looks at a step: has the loss the value that it has where all similarities are equal?

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
        seen, equal = tf.unstack(self._steps.read_value() + 1)
        self._steps.assign(tf.stack([seen, tf.where(stays, equal, 0)]))


class CollapseWatch(keras.callbacks.Callback):
    """Warns, once, at the end of an epoch in which the loss has stayed at that value.

    Args:
        tell: receives the warning; Python's warnings by default.
    """

    def __init__(self, tell: Callable[[str], None] = warnings.warn):
        super().__init__()
        self._tell, self._told, self._seen = tell, False, 0

    def on_epoch_begin(self, epoch, logs=None):
        if self.model.collapse is not None:
            self._seen, _ = self.model.collapse.steps

    def on_epoch_end(self, epoch, logs=None):
        if self._told or self.model.collapse is None:
            return
        seen, equal = self.model.collapse.steps
        if equal >= max(STEPS, seen - self._seen):
            self._told = True
            self._tell(
                "the contrastive loss stays at its value where all similarities are equal: all "
                "embeddings are one point and nothing is learned; lower the learning rate, clip "
                "the gradient (clip_norm), or start from another seed"
            )
