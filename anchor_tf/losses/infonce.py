"""InfoNCE: one positive against the embeddings of other examples, in blocks of negatives."""

import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.losses.blocks import BELOW_ALL, LOWEST, Blocks, length_of, log_of, shares
from anchor_tf.losses.labelled_pairs import integers


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
    ids, negative_ids = integers(ids, negative_ids)
    pulled = tf.reduce_sum(anchors * positives, axis=1) / temperature
    blocks = Blocks.of(anchors, negatives, block_size)
    padded = blocks.padded(negatives), blocks.padded(negative_ids)
    return tf.nn.softplus(_log_sum(anchors, *padded, ids, blocks, temperature) - pulled)


def _log_sum(rows, columns, column_ids, row_ids, blocks: Blocks, temperature) -> tf.Tensor:
    """Logarithm of sum_j exp(row . column_j / tau) over columns with another id: [N]."""

    def logits_of(rows, block, first):
        kept = row_ids[:, tf.newaxis] != blocks.part(column_ids, first)
        if not blocks.single:
            kept &= blocks.places(first) < blocks.count
        return tf.where(kept, tf.matmul(rows / temperature, block, transpose_b=True), LOWEST)

    @tf.custom_gradient
    def log_sum(rows, columns):
        def visit(first, peak, total):
            logits = logits_of(rows, blocks.part(columns, first), first)
            parts, peak, faded = shares(logits, peak)
            return peak, total * faded + tf.reduce_sum(parts, 1)

        zero = tf.zeros([length_of(rows)])
        peak, total = blocks.fold(visit, (zero + BELOW_ALL, zero))
        result = log_of(total, peak)

        def gradient(upstream):
            def by_similarity(first, block):
                logits = logits_of(rows, block, first)
                share = tf.exp(logits - result[:, tf.newaxis])
                return tf.where(logits > LOWEST / 2, share, 0.0)

            return blocks.gradients(rows, columns, upstream / temperature, by_similarity)

        return result, gradient

    return log_sum(rows, columns)
