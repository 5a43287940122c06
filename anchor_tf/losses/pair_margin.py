"""The pairwise margin loss on embeddings: same class together, other classes a margin apart."""

import dataclasses

import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.losses.blocks import length_of
from anchor_tf.losses.labelled_pairs import LabelledPairs

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
    check_margin(margin)
    pairs = LabelledPairs.of(embeddings, labels, columns, column_labels, row_offset, block_size)
    partners = tf.cast(pairs.blocks.count - 1, tf.float32)
    return tf.math.divide_no_nan(_Margin(pairs, margin).total(), partners)


def check_margin(margin: float) -> None:
    """Refuses a margin that unit vectors cannot keep.

    Raises:
        UserError: margin outside (0, 2].
    """
    if not 0 < margin <= 2:
        raise UserError(f"margin={margin:g} should be above 0 and at most 2")


@dataclasses.dataclass(frozen=True)
class _Margin:
    """The sum over each row's pairs, and its gradient, block by block."""

    pairs: LabelledPairs
    margin: float

    def total(self) -> tf.Tensor:
        """The sum [N] over the columns."""

        @tf.custom_gradient
        def blocked(rows, columns):
            def visit(first, total):
                block = self.pairs.blocks.part(columns, first)
                squared, others, same = self._look(rows, block, first)
                apart = tf.square(tf.maximum(self.margin - tf.sqrt(squared), 0.0))
                return (total + tf.reduce_sum(others * tf.where(same, squared, apart), axis=1),)

            (total,) = self.pairs.blocks.fold(visit, (tf.zeros([length_of(rows)]),))

            def gradient(upstream):
                def by_similarity(first, block):
                    squared, others, same = self._look(rows, block, first)
                    distance = tf.sqrt(squared)
                    # d d^2 / d similarity is -2, and 0 where the floor holds.
                    slope = tf.where(squared > FLOOR, -2.0, 0.0)
                    pushed = -tf.maximum(self.margin - distance, 0.0) / distance
                    return others * slope * tf.where(same, 1.0, pushed)

                return self.pairs.blocks.gradients(rows, columns, upstream, by_similarity)

            return total, gradient

        return blocked(self.pairs.rows, self.pairs.columns)

    def _look(self, rows, block, first):
        """A block's d^2, whether a pair counts (1 or 0), and whether it is of one class."""
        squared = tf.maximum(2.0 - 2.0 * tf.matmul(rows, block, transpose_b=True), FLOOR)
        others, same = self.pairs.masks(first)
        return squared, tf.cast(others, tf.float32), same
