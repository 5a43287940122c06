"""What a training step is given, and what a method makes of it."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Batch:
    """What a training step is given.

    Attributes:
        views: independently augmented copies of the images, each float32 [B, H, W, C] in [0, 1].
        images: the images as they are, [B, H, W, C].
        labels: int32 [B].
        index: int32 [B], the examples' indices in the training split.
    """

    views: tuple[tf.Tensor, ...]
    images: tf.Tensor
    labels: tf.Tensor
    index: tf.Tensor

    @classmethod
    def of(cls, data, views: int) -> "Batch":
        """Reads the pipelines' elements, or plain (images, labels) as Keras users have them.

        Args:
            data: a dictionary of these attributes, or images [B, H, W, C] in [0, 1] and integer
                labels [B] or [B, 1], which are then numbered as they come.
            views: how many copies plain images are to be.
        """
        if isinstance(data, dict):
            return cls(data["views"], data["images"], data["labels"], data["index"])
        images, labels = data
        labels = tf.cast(tf.reshape(labels, [-1]), tf.int32)
        count = tf.shape(images)[0]
        context = tf.distribute.get_replica_context()
        first = tf.cast(context.replica_id_in_sync_group, tf.int32) * count if context else 0
        return cls((images,) * views, images, labels, first + tf.range(count))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a method makes of a batch.

    Attributes:
        losses: name of each term of the loss -> float32 [B], weighted as it enters the sum.
        logits: "clean" or "robust" -> logits [B, K] whose accuracy is tracked under that name.
    """

    losses: dict[str, tf.Tensor]
    logits: dict[str, tf.Tensor]
