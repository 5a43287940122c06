"""A watch, inside the training step, for losses and gradients that are not finite."""

import keras
import tensorflow as tf

from anchor_tf.methods.extras import across_replicas


class FiniteGuard(keras.layers.Layer):
    """Remembers the first such step; where it skips them, that batch teaches nothing.

    A skipped step has a gradient of zero and leaves the moving statistics of batch normalisation
    as they were; momentum and weight decay act as ever. All of it stays in the graph: nothing
    waits for the host.

    Args:
        skips: whether to skip and count such steps, rather than remember the first.
        statistics: the moving statistics to leave as they were.
    """

    def __init__(self, skips: bool, statistics: list):
        super().__init__(name="finite_guard")
        self.skips = skips
        self._statistics = tuple(statistics) if skips else ()
        self._first_step = self._counter(-1, "first_step")
        self._first_example = self._counter(-1, "first_example")
        self._count = self._counter(0, "count")
        # The optimizer's number falls behind where it leaves steps out, as it does in float16.
        self._step = self._counter(0, "step")
        self.built = True

    @property
    def first_step(self) -> int:
        """Number of the first step that was not finite; -1 if all were, or are skipped."""
        return int(self._first_step.numpy())

    @property
    def first_example(self) -> int:
        """Index of an example whose loss was not finite in it; -1 if only the gradient was not."""
        return int(self._first_example.numpy())

    @property
    def count(self) -> int:
        """Steps that were not finite."""
        return int(self._count.numpy())

    def remember(self) -> list[tf.Tensor]:
        """The moving statistics before a step."""
        return [tf.identity(variable.value) for variable in self._statistics]

    def observe(self, index: tf.Tensor, loss: tf.Tensor, gradients: list[tf.Tensor]) -> tf.Tensor:
        """Looks at a step, the next one.

        Args:
            index: int [B], the examples.
            loss: [B].
            gradients: whose sums are looked at; none where they may overflow and are scaled again.

        Returns:
            bool, whether something was not finite on any replica.
        """
        wrong = ~tf.math.is_finite(loss)
        example = tf.reduce_max(tf.where(wrong, tf.cast(index, tf.int64), -1))
        total = tf.add_n([tf.reduce_sum(gradient) for gradient in gradients] or [0.0])
        here = tf.reduce_any(wrong) | ~tf.math.is_finite(total)
        anywhere, example = tf.unstack(
            across_replicas.largest(tf.stack([tf.cast(here, tf.int64), example]))
        )
        if not self.skips:
            first = (anywhere > 0) & (self._first_step.value < 0)
            self._first_step.assign(tf.where(first, self._step.value, self._first_step.value))
            self._first_example.assign(tf.where(first, example, self._first_example.value))
        self._count.assign(self._count.value + anywhere)
        self._step.assign(self._step.value + 1)
        return anywhere > 0

    def forget(
        self, wrong: tf.Tensor, gradients: list[tf.Tensor], statistics: list[tf.Tensor]
    ) -> list[tf.Tensor]:
        """Undoes what a step that was not finite has done, and takes away its gradients.

        Args:
            wrong: what `observe` returned.
            gradients: of the step.
            statistics: what `remember` returned before it.

        Returns:
            The gradients, or zeros.
        """
        for variable, former in zip(self._statistics, statistics, strict=True):
            variable.assign(tf.where(wrong, former, variable.value))
        return [tf.where(wrong, tf.zeros_like(gradient), gradient) for gradient in gradients]

    def _counter(self, start: int, name: str) -> keras.Variable:
        return keras.Variable(
            start,
            trainable=False,
            dtype="int64",
            aggregation="only_first_replica",
            name=name,
        )
