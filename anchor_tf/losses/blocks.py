"""Columns block by block: what losses over all pairs of rows and columns have in common.

Such a loss folds a function over blocks of columns, forward and again in its gradient, so that
rows x block similarities are all that it holds, however many columns there are.
"""

import dataclasses
from collections.abc import Callable
from typing import Self

import tensorflow as tf

LOWEST = -1e30  # stands for log 0; finite, as inf - inf is not a number
BELOW_ALL = -1e20  # below every real value, so far above LOWEST that exp of the difference is 0
ELEMENTS = 2**23  # similarities that a block has by default


@dataclasses.dataclass(frozen=True)
class Blocks:
    """How columns are divided.

    Attributes:
        count: of the columns.
        size: columns a block; the last block is padded.
    """

    count: int | tf.Tensor
    size: int | tf.Tensor

    @classmethod
    def of(cls, rows: tf.Tensor, columns: tf.Tensor, size: int | None = None) -> Self:
        """Blocks of `size` columns, [M, D], or as many as make `ELEMENTS` similarities with rows.

        A single block where lengths are known only at run time.
        """
        count, length = length_of(columns), length_of(rows)
        if tf.is_tensor(count) or tf.is_tensor(length):
            return cls(count, count)
        return cls(count, min(count, size or max(256, ELEMENTS // length)))

    @property
    def single(self) -> bool:
        """Whether there is one block, without padding."""
        return tf.is_tensor(self.count) or self.size == self.count

    def padded(self, tensor: tf.Tensor) -> tf.Tensor:
        """A tensor [M, ...] with zeros behind it that fill the last block."""
        if self.single:
            return tensor
        missing = -self.count % self.size
        return tf.pad(tensor, [[0, missing]] + [[0, 0]] * (tensor.shape.rank - 1))

    def part(self, tensor: tf.Tensor, first: int | tf.Tensor) -> tf.Tensor:
        """The block of a padded tensor that begins with column `first`."""
        rest = tensor.shape[1:].as_list()
        return tf.slice(tensor, [first, *[0] * len(rest)], [self.size, *rest])

    def places(self, first: int | tf.Tensor) -> tf.Tensor:
        """The numbers of a block's columns; those of its padding are not below `count`."""
        return first + tf.range(self.size)

    def fold(self, function: Callable, state: tuple) -> tuple:
        """Folds `function(first, *state) -> state` over the first columns of the blocks."""
        if self.single:
            return function(0, *state)
        return tf.while_loop(
            lambda first, *_: first < self.count,
            lambda first, *state: (first + self.size, *function(first, *state)),
            (tf.constant(0), *state),
            parallel_iterations=1,
        )[1:]

    def gradients(
        self, rows: tf.Tensor, columns: tf.Tensor, scale: tf.Tensor, by_similarity: Callable
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Gradients of rows [N, D] and padded columns.

        Args:
            rows: [N, D].
            columns: padded.
            scale: [N], what each row's gradient is multiplied by.
            by_similarity: first, block -> gradient at row . column, [N, size].
        """

        def visit(first, row_gradient, column_gradient):
            block = self.part(columns, first)
            weights = by_similarity(first, block)
            block_gradient = tf.matmul(weights, scaled_rows, transpose_a=True)
            return (
                row_gradient + scale[:, tf.newaxis] * tf.matmul(weights, block),
                column_gradient.write(first // self.size, block_gradient),
            )

        scaled_rows = scale[:, tf.newaxis] * rows
        shape = [length_of(columns), columns.shape[1]]
        known = None if tf.is_tensor(self.size) else self.size
        stack = tf.TensorArray(
            tf.float32, shape[0] // self.size, element_shape=[known, columns.shape[1]]
        )
        row_gradient, stack = self.fold(visit, (tf.zeros_like(rows), stack))
        return row_gradient, tf.reshape(stack.stack(), shape)


def length_of(tensor: tf.Tensor, axis: int = 0) -> int | tf.Tensor:
    """The size of an axis: a number where it is known while tracing."""
    known = tensor.shape[axis]
    return tf.shape(tensor)[axis] if known is None else known


def shares(logs: tf.Tensor, peak: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """A block's exponentials relative to the largest so far, that, and what former ones fade by."""
    higher = tf.maximum(peak, tf.reduce_max(logs, axis=1))
    return tf.exp(logs - higher[:, tf.newaxis]), higher, tf.exp(peak - higher)


def log_of(total: tf.Tensor, peak: tf.Tensor) -> tf.Tensor:
    """log(total) + peak, `LOWEST` where the total is 0."""
    return tf.where(total > 0.0, tf.math.log(tf.maximum(total, 1e-30)) + peak, LOWEST)
