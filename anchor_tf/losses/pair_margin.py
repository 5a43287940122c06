"""The pairwise margin loss on embeddings: same class together, other classes a margin apart."""

import tensorflow as tf

from anchor_tf.errors import UserError


def pair_margin(
    embeddings: tf.Tensor,
    labels: tf.Tensor,
    *,
    margin: float = 1.0,
    columns: tf.Tensor | None = None,
    column_labels: tf.Tensor | None = None,
    row_offset: int | tf.Tensor = 0,
) -> tf.Tensor:
    """Mean over j != i of d^2 for a pair of one class, of max(0, margin - d)^2 for another.

    d = |z_i - z_j| = sqrt(max(2 - 2 z_i.z_j, 1e-12)) for embeddings of unit length; the floor keeps
    the gradient finite where two embeddings are the same.

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
    squared = tf.maximum(2.0 - 2.0 * tf.matmul(rows, columns, transpose_b=True), 1e-12)
    apart = tf.square(tf.maximum(margin - tf.sqrt(squared), 0.0))
    same = labels[:, tf.newaxis] == column_labels
    row = tf.range(tf.shape(rows)[0]) + row_offset
    others = tf.cast(row[:, tf.newaxis] != tf.range(tf.shape(columns)[0]), tf.float32)
    total = tf.reduce_sum(others * tf.where(same, squared, apart), axis=1)
    return tf.math.divide_no_nan(total, tf.reduce_sum(others, axis=1))
