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


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a method makes of a batch.

    Attributes:
        losses: name of each term of the loss -> float32 [B], weighted as it enters the sum.
        logits: "clean" or "robust" -> logits [B, K] whose accuracy is tracked under that name.
    """

    losses: dict[str, tf.Tensor]
    logits: dict[str, tf.Tensor]
