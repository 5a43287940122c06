"""The pairwise margin loss on embeddings: same class together, other classes a margin apart."""

import dataclasses

import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.losses.blocks import Blocks, length_of

FLOOR = 1e-12  # of d^2


def pair_margin(
    embeddings: tf.Tensor,
    labels: tf.Tensor,
    *,
    margin: float = 1.0,
    columns: tf.Tensor | None = None,
    column_labels: tf.Tensor | None = None,
    row_offset: int | tf.Tensor = 0,
    block_size: int | None = None,
) -> tf.Tensor:
    """Mean over j != i of d^2 for a pair of one class, of max(0, margin - d)^2 for another.

    d = |z_i - z_j| = sqrt(max(2 - 2 z_i.z_j, 1e-12)) for embeddings of unit length; the floor keeps
    the gradient finite where two embeddings are the same. The pairs are never held all at once,
    forward or backward.

    Source: the margin term of arXiv 2412.19747, after Hadsell et al. 2006, "Dimensionality
    Reduction by Learning an Invariant Mapping".

    Args:
        embeddings: rows z, float [N, D], of unit length.
        labels: integers [N].
        margin: m in (0, 2]; 2 is the diameter of the sphere.
        columns: what the rows are paired with, [M, D], of which they are columns row_offset to
            row_offset + N - 1; the rows themselves by default.
        column_labels: integers [M].
        row_offset: column of the first row.
        block_size: columns a block; by default as many as make a block of 2**23 pairs.

    Returns:
        float32 [N], the mean over each row's pairs; 0 for a single row.

    Raises:
        UserError: margin outside (0, 2].
    """
    if not 0 < margin <= 2:
        raise UserError(f"margin={margin:g} should be above 0 and at most 2")
    rows = tf.cast(embeddings, tf.float32)
    if columns is None:
        columns, column_labels = rows, labels
    columns = tf.cast(columns, tf.float32)
    blocks = Blocks.of(rows, columns, block_size)
    pairs = _Pairs(
        blocks=blocks,
        row_labels=tf.cast(labels, tf.int32),
        column_labels=blocks.padded(tf.cast(column_labels, tf.int32)),
        row_offset=row_offset,
        margin=margin,
    )
    partners = tf.cast(blocks.count - 1, tf.float32)
    return tf.math.divide_no_nan(pairs.total(rows, blocks.padded(columns)), partners)


@dataclasses.dataclass(frozen=True)
class _Pairs:
    """The sum over each row's pairs, and its gradient, block by block."""

    blocks: Blocks
    row_labels: tf.Tensor
    column_labels: tf.Tensor  # padded
    row_offset: int | tf.Tensor
    margin: float

    def total(self, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        """The sum [N] over the padded columns."""

        @tf.custom_gradient
        def blocked(rows, columns):
            def visit(first, total):
                block = self.blocks.part(columns, first)
                squared, others, same = self._look(rows, block, first)
                apart = tf.square(tf.maximum(self.margin - tf.sqrt(squared), 0.0))
                return (total + tf.reduce_sum(others * tf.where(same, squared, apart), axis=1),)

            (total,) = self.blocks.fold(visit, (tf.zeros([length_of(rows)]),))

            def gradient(upstream):
                def by_similarity(first, block):
                    squared, others, same = self._look(rows, block, first)
                    distance = tf.sqrt(squared)
                    # d d^2 / d similarity is -2, and 0 where the floor holds.
                    slope = tf.where(squared > FLOOR, -2.0, 0.0)
                    pushed = -tf.maximum(self.margin - distance, 0.0) / distance
                    return others * slope * tf.where(same, 1.0, pushed)

                return self.blocks.gradients(rows, columns, upstream, by_similarity)

            return total, gradient

        return blocked(rows, columns)

    def _look(self, rows, block, first):
        """A block's d^2, whether a pair counts (1 or 0), and whether it is of one class."""
        squared = tf.maximum(2.0 - 2.0 * tf.matmul(rows, block, transpose_b=True), FLOOR)
        row = tf.range(length_of(rows)) + self.row_offset
        column = self.blocks.places(first)
        others = row[:, tf.newaxis] != column
        if not self.blocks.single:
            others &= column < self.blocks.count
        same = self.row_labels[:, tf.newaxis] == self.blocks.part(self.column_labels, first)
        return squared, tf.cast(others, tf.float32), same
