"""Labelled rows and the columns that they are paired with, block by block."""

import dataclasses
from typing import Self

import tensorflow as tf

from anchor_tf.losses.blocks import Blocks, length_of


@dataclasses.dataclass(frozen=True)
class LabelledPairs:
    """Every row with every column but its own.

    Attributes:
        blocks: how the columns are divided.
        rows: float32 [N, D].
        columns: float32, padded.
        row_labels: int32 or int64 [N].
        column_labels: likewise, padded.
        row_offset: column of the first row.
    """

    blocks: Blocks
    rows: tf.Tensor
    columns: tf.Tensor
    row_labels: tf.Tensor
    column_labels: tf.Tensor
    row_offset: int | tf.Tensor

    @classmethod
    def of(cls, rows, labels, columns, column_labels, row_offset, block_size) -> Self:
        """Pairs of rows [N, D] with columns [M, D], the rows themselves where that is None."""
        rows = tf.cast(rows, tf.float32)
        if columns is None:
            columns, column_labels = rows, labels
        columns = tf.cast(columns, tf.float32)
        labels, column_labels = integers(labels, column_labels)
        blocks = Blocks.of(rows, columns, block_size)
        return cls(
            blocks=blocks,
            rows=rows,
            columns=blocks.padded(columns),
            row_labels=labels,
            column_labels=blocks.padded(column_labels),
            row_offset=row_offset,
        )

    def masks(self, first: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Which pairs of a block count, and which are of one class; bool [N, size]."""
        column = self.blocks.places(first)
        row = tf.range(length_of(self.row_labels)) + self.row_offset
        others = row[:, tf.newaxis] != column
        if not self.blocks.single:
            others &= column < self.blocks.count
        same = self.row_labels[:, tf.newaxis] == self.blocks.part(self.column_labels, first)
        return others, same


def integers(*labels) -> tf.Tensor | tuple[tf.Tensor, ...]:
    """Labels as int32, or as int64 where one of them has more than 32 bits: none are merged."""
    tensors = [tf.convert_to_tensor(some) for some in labels]
    wide = any(tensor.dtype in (tf.int64, tf.uint32, tf.uint64) for tensor in tensors)
    cast = tuple(tf.cast(tensor, tf.int64 if wide else tf.int32) for tensor in tensors)
    return cast if len(cast) > 1 else cast[0]
