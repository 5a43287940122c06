"""What contrastive methods share: the projection head, the gathered loss, the online probe."""

from collections.abc import Callable

import keras
import tensorflow as tf

from anchor_tf.losses.infonce import info_nce
from anchor_tf.losses.supcon import supervised_contrastive
from anchor_tf.losses.unit_length import unit_length
from anchor_tf.methods.base import Method
from anchor_tf.methods.extras.across_replicas import EQUAL, Share, gathered
from anchor_tf.methods.extras.collapse import Collapse, CollapseWatch
from anchor_tf.threat import Threat

PROJECTION_SIZE = 128


@keras.saving.register_keras_serializable("anchor_tf")
class UnitLength(keras.layers.UnitNormalization):
    """Keras's UnitNormalization, whose gradient stays bounded near 0 (see `losses.unit_length`)."""

    def call(self, inputs):
        return unit_length(inputs, super().call)


class ContrastiveMethod(Method):
    """A method with a projection head, whose classifier is fine-tuned on the frozen backbone.

    The head is a two-layer perceptron to 128 dimensions, L2-normalised; it serves training alone.
    """

    views = 2
    contrasts_classes = True
    trained_views = 2
    default_finetune = "slf"

    def __init__(self, backbone: keras.Model, classes: int, threat: Threat, **setup):
        super().__init__(backbone, classes, threat, **setup)
        self.projection_head = keras.Sequential(
            [
                keras.Input(backbone.output_shape[1:]),
                keras.layers.Dense(
                    backbone.output_shape[-1],
                    activation="relu",
                    kernel_initializer="he_normal",
                    dtype=self.dtype_policy,
                ),
                keras.layers.Dense(PROJECTION_SIZE, dtype="float32"),
                UnitLength(dtype="float32"),
            ],
            name="projection_head",
        )
        self.collapse = Collapse()

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        *arguments,
        **named,
    ):
        """As in Keras; warns where all embeddings become one point (see `extras.collapse`)."""
        watch = CollapseWatch()
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks.callbacks.append(watch)
            watch.set_model(self)
        else:
            callbacks = [*keras.tree.flatten(callbacks or []), watch]
        return super().fit(x, y, batch_size, epochs, verbose, callbacks, *arguments, **named)

    def embed(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Projections z [B, 128] of unit length."""
        return self.projection_head(self.encode(images, training), training=training)

    def encode_views(
        self, views: list[tf.Tensor], training: bool = True
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """One pass of all views, each [B, H, W, C].

        Returns:
            The features of each view, [B, F], and the projections of all of them, [V B, 128].
        """
        features = self.encode(tf.concat(views, axis=0), training=training)
        return tf.split(features, len(views)), self.projection_head(features, training=training)

    def contrast(
        self,
        embeddings: tf.Tensor,
        labels: tf.Tensor,
        views: int,
        share: Share = EQUAL,
        *,
        training: bool = True,
        **arguments,
    ) -> tf.Tensor:
        """The supervised contrastive loss, averaged over the views of an image.

        Args:
            embeddings: [V B, 128], view by view.
            labels: [B]; indices of examples for a loss that knows no labels.
            views: V.
            share: the batch's, of the global one.
            training: whether the loss counts in the watch for collapse.
            **arguments: of `losses.supcon.supervised_contrastive`.

        Returns:
            float32 [B]; rows are contrasted with the batch of all replicas.
        """
        labels = tf.tile(labels, [views])
        (columns, column_labels), row_offset = gathered([embeddings, labels], share)
        losses = supervised_contrastive(
            embeddings,
            labels,
            columns=columns,
            column_labels=column_labels,
            row_offset=row_offset,
            **arguments,
        )
        if training:
            self.collapse.observe(losses, tf.shape(columns)[0] - 1)
        return tf.add_n(tf.split(losses, views)) / views

    def probe(self, features: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Trains the classifier beside a loss that has none; the backbone learns nothing from it.

        It lets a run be watched under attack, and is where fine-tuning starts.

        Returns:
            Logits [B, K] and cross-entropy [B].
        """
        logits = self.classifier(tf.stop_gradient(features))
        return logits, self.cross_entropy(logits, labels)


def instance_objective(
    embed: Callable,
    others: tf.Tensor,
    index: tf.Tensor,
    temperature: float,
    share: Share = EQUAL,
) -> Callable:
    """What a label-free attack raises: images' distance from their own other views.

    Args:
        embed: images [B, ...] -> unit vectors [B, D].
        others: another view of each image, [B, ...].
        index: int32 [B], the examples' indices; the other views of all replicas' other examples
            are negatives.
        temperature: tau, above 0.
        share: the batch's, of the global one.

    Returns:
        images [B, ...] -> float32 [B], the InfoNCE loss of each image.
    """
    fixed = tf.stop_gradient(embed(others))
    (negatives, negative_ids), _ = gathered([fixed, index], share)

    def objective(images):
        moved = embed(images)
        return info_nce(moved, fixed, negatives, index, negative_ids, temperature=temperature)

    return objective
