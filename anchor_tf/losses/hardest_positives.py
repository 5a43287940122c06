"""The hardest positives of each row, gathered from blocks of columns."""

import tensorflow as tf

from anchor_tf.losses.blocks import LOWEST, length_of


def merged(
    similarity: tf.Tensor,
    positive: tf.Tensor,
    first: int | tf.Tensor,
    negated: tf.Tensor,
    places: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Merges a block of columns into the hardest positives so far.

    Args:
        similarity: of rows and the block's columns, [N, size].
        positive: bool [N, size].
        first: the block's first column.
        negated: minus the similarity of the least similar positives so far, [N, K]; `LOWEST` where
            there are fewer.
        places: their columns, int32 [N, K].

    Returns:
        The new `negated` and `places`; of equals the first columns stay.
    """
    block_places = tf.broadcast_to(first + tf.range(length_of(similarity, 1)), tf.shape(similarity))
    candidates = tf.concat([negated, tf.where(positive, -similarity, LOWEST)], axis=1)
    negated, order = tf.math.top_k(candidates, k=negated.shape[1])
    return negated, tf.gather(tf.concat([places, block_places], axis=1), order, batch_dims=1)


def spread(
    share: tf.Tensor, places: tf.Tensor, first: int | tf.Tensor, size: int | tf.Tensor
) -> tf.Tensor:
    """Spreads the shares [N, K] of the hardest positives over a block: [N, size].

    Args:
        share: of each of them.
        places: their columns, int32 [N, K].
        first: the block's first column.
        size: how many it has.
    """
    places = places - first
    inside = (places >= 0) & (places < size)
    rows = tf.broadcast_to(tf.range(length_of(share))[:, tf.newaxis], tf.shape(places))
    indices = tf.stack([rows, tf.where(inside, places, 0)], axis=-1)
    return tf.scatter_nd(indices, tf.where(inside, share, 0.0), [length_of(share), size])
