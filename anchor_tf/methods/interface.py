"""What a training step is given, and what a method makes of it."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.methods.extras.across_replicas import EQUAL, Share, dealt


@dataclasses.dataclass(frozen=True)
class Batch:
    """What a training step is given.

    Attributes:
        views: independently augmented copies of the images, each float32 [B, H, W, C] in [0, 1].
        images: the images as they are, [B, H, W, C].
        labels: int32 [B].
        index: int32 [B], the examples' indices in the training split.
        weights: float32 [B], what each example's loss is multiplied by; None for 1.
        targets: the labels as they were given: class indices or one-hot rows.
        share: of the global batch.
    """

    views: tuple[tf.Tensor, ...]
    images: tf.Tensor
    labels: tf.Tensor
    index: tf.Tensor
    weights: tf.Tensor | None = None
    targets: tf.Tensor | None = None
    share: Share = EQUAL

    @classmethod
    def of(cls, data, views: int, seen: tf.Tensor | int = 0) -> "Batch":
        """Reads the pipelines' elements, or what Keras makes of `fit`'s arguments.

        Args:
            data: a dictionary of views, images, labels and index, or images [B, H, W, C] in
                [0, 1], labels and, if there are any, weights [B], which are then numbered as they
                come. Labels are indices [B] or [B, 1], or one-hot rows [B, K]. Of rows that are
                not one-hot eager code says so, and so does a graph; compiled with XLA, which leaves
                out checks, it takes the largest entry.
            views: how many copies plain images are to be.
            seen: how many plain images came before.

        Raises:
            UserError: labels with more than one axis that are not one-hot rows.
        """
        data, share = dealt(data)
        if isinstance(data, dict):
            labels = data["labels"]
            given = data["views"], data["images"], class_indices(labels), data["index"]
            return cls(*given, targets=tf.convert_to_tensor(labels), share=share)
        images, labels, *weights = data
        images = tf.convert_to_tensor(images)
        weights = [tf.cast(tf.reshape(w, [-1]), tf.float32) for w in weights if w is not None]
        count = tf.shape(images)[0]
        return cls(
            views=(images,) * views,
            images=images,
            labels=class_indices(labels),
            index=share.first_row(count) + tf.range(count) + seen,
            weights=weights[0] if weights else None,
            targets=tf.convert_to_tensor(labels),
            share=share,
        )

    @property
    def rows(self) -> tf.Tensor:
        """How many examples there are, int32."""
        return tf.shape(self.labels)[0]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a method makes of a batch.

    Attributes:
        losses: name of each term of the loss -> float32 [B], weighted as it enters the sum.
        logits: "clean" or "robust" -> logits [B, K] whose accuracy is tracked under that name.
    """

    losses: dict[str, tf.Tensor]
    logits: dict[str, tf.Tensor]

    def weighted(self, weights: tf.Tensor | None) -> "Outcome":
        """The same with each example's losses multiplied by its weight [B]."""
        if weights is None:
            return self
        losses = {name: weights * values for name, values in self.losses.items()}
        return dataclasses.replace(self, losses=losses)


def class_indices(labels: tf.Tensor) -> tf.Tensor:
    """int32 [B] of labels that are indices [B] or [B, 1], or one-hot rows [B, K].

    Raises:
        UserError: rows that are not one-hot, in eager code; in a graph the error is TensorFlow's.
    """
    labels = tf.convert_to_tensor(labels)
    if labels.shape.rank != 2 or labels.shape[1] in (1, None):
        return tf.cast(tf.reshape(labels, [-1]), tf.int32)
    values = tf.cast(labels, tf.float32)
    ones = tf.reduce_sum(tf.cast(values == 1.0, tf.int32), axis=1)
    exact = tf.reduce_all((values == 1.0) | (values == 0.0)) & tf.reduce_all(ones == 1)
    if tf.executing_eagerly():
        if not exact:
            raise UserError(_NOT_ONE_HOT)
        return tf.argmax(values, axis=1, output_type=tf.int32)
    with tf.control_dependencies([tf.debugging.Assert(exact, [_NOT_ONE_HOT])]):
        return tf.argmax(values, axis=1, output_type=tf.int32)


def check_labels(labels: Any, classes: int) -> None:
    """Checks labels, where they are an array, before anything is computed from them.

    Args:
        labels: arrays and eager tensors are looked at, anything else is not.
        classes: number of classes K.

    Raises:
        UserError: they are not indices of classes, [B] or [B, 1], nor one-hot rows [B, K].
    """
    if not isinstance(labels, np.ndarray | list | tf.Tensor):
        return
    values = np.asarray(labels)
    if values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[1] not in (1, classes)):
        raise UserError(
            f"labels of shape {values.shape} must be class indices, [B] or [B, 1], or one-hot rows "
            f"[B, {classes}]"
        )
    if values.ndim == 2 and values.shape[1] > 1:
        if not (np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all()):
            raise UserError(_NOT_ONE_HOT)
    elif values.size and not (
        values.min() >= 0 and values.max() < classes and (values == values.astype(int)).all()
    ):
        raise UserError(
            f"labels from {values.min()} to {values.max()}: with {classes} classes they must be "
            f"integers from 0 to {classes - 1}"
        )


_NOT_ONE_HOT = (
    "labels with a row for each image must be one-hot: a single 1 in each row, 0 elsewhere. "
    "Soft labels are not taken: pass classes, and label_smoothing= to the method to smooth them"
)
