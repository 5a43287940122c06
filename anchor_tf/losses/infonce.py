"""InfoNCE: one positive against the embeddings of other examples, in blocks of negatives."""

import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.losses.blocks import LOWEST, default_size


def info_nce(
    anchors: tf.Tensor,
    positives: tf.Tensor,
    negatives: tf.Tensor,
    ids: tf.Tensor,
    negative_ids: tf.Tensor,
    *,
    temperature: float = 0.1,
    block_size: int | None = None,
) -> tf.Tensor:
    """-log( e^{z.z+/tau} / (e^{z.z+/tau} + sum_j e^{z.z_j-/tau}) ) of each anchor z.

    Source: van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding",
    with cosine similarities as SimCLR has them. The sum runs over the negatives of other examples
    and is never held as a whole, forward or backward.

    Args:
        anchors: z, float [N, D], of unit length.
        positives: z+, [N, D], of unit length.
        negatives: candidates z-, [M, D], of unit length.
        ids: integers [N], which example an anchor shows.
        negative_ids: integers [M]; a candidate with the anchor's id is left out.
        temperature: tau, above 0.
        block_size: negatives a block; by default as many as make a block of 2**23 similarities.

    Returns:
        float32 [N]; 0 where an anchor has no negative.

    Raises:
        UserError: temperature not above 0.
    """
    if temperature <= 0:
        raise UserError("temperature must be above 0")
    anchors, positives, negatives = (
        tf.cast(tensor, tf.float32) for tensor in (anchors, positives, negatives)
    )
    ids, negative_ids = tf.cast(ids, tf.int32), tf.cast(negative_ids, tf.int32)
    pulled = tf.reduce_sum(anchors * positives, axis=1) / temperature
    pushed = _log_sum(anchors / temperature, negatives, ids, negative_ids, block_size)
    return tf.nn.softplus(pushed - pulled)


def _log_sum(rows, columns, row_ids, column_ids, block_size) -> tf.Tensor:
    """Logarithm of sum_j exp(row . column_j) over columns with another id: [N]."""
    count, length = columns.shape[0], rows.shape[0]
    if count is None or length is None:
        size, blocks = tf.shape(columns)[0], 1  # lengths known only at run time: a single block
    else:
        size = min(count, block_size or default_size(count, length))
        blocks = -(-count // size)
        columns = tf.pad(columns, [[0, blocks * size - count], [0, 0]])
        column_ids = tf.pad(column_ids, [[0, blocks * size - count]])
    padding = tf.range(tf.shape(columns)[0]) >= (size if count is None else count)

    def block(rows, columns, place):
        part = columns[place * size : (place + 1) * size]
        ids = column_ids[place * size : (place + 1) * size]
        kept = (row_ids[:, tf.newaxis] != ids) & ~padding[place * size : (place + 1) * size]
        return part, tf.where(kept, tf.matmul(rows, part, transpose_b=True), LOWEST)

    @tf.custom_gradient
    def log_sum(rows, columns):
        total = tf.fill([tf.shape(rows)[0]], LOWEST)
        for place in range(blocks):
            _, logits = block(rows, columns, place)
            total = tf.reduce_logsumexp(tf.concat([total[:, tf.newaxis], logits], 1), axis=1)

        def gradient(upstream):
            row_gradient, column_gradients = tf.zeros_like(rows), []
            for place in range(blocks):
                part, logits = block(rows, columns, place)
                share = tf.where(logits > LOWEST / 2, tf.exp(logits - total[:, tf.newaxis]), 0.0)
                weight = upstream[:, tf.newaxis] * share
                row_gradient += tf.matmul(weight, part)
                column_gradients.append(tf.matmul(weight, rows, transpose_a=True))
            return row_gradient, tf.concat(column_gradients, axis=0)

        return total, gradient

    return log_sum(rows, columns)
