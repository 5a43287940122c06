"""Which class a targeted attack aims at."""

import tensorflow as tf


def target_class(logits: tf.Tensor, y: tf.Tensor, rank: tf.Tensor) -> tf.Tensor:
    """The class of a rank among those other than the label, the largest logit first.

    Args:
        logits: [B, K], at the clean images.
        y: labels, integers [B].
        rank: from 0, integer scalar; the last class stands for ranks that there are not.

    Returns:
        int32 [B].
    """
    classes = logits.shape[-1]
    true_class = tf.one_hot(y, classes, on_value=True, off_value=False)
    others = tf.where(true_class, logits.dtype.min, logits)
    ranked = tf.math.top_k(others, max(classes - 1, 1)).indices
    return tf.gather(ranked, tf.minimum(rank, ranked.shape[-1] - 1), axis=1)
