"""Cross-entropy, supervised contrastive learning and a pairwise margin, without an attack."""

import keras
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.losses.pair_margin import pair_margin
from anchor_tf.methods.contrastive import ContrastiveMethod
from anchor_tf.methods.extras.across_replicas import gathered
from anchor_tf.methods.interface import Outcome


@keras.saving.register_keras_serializable("anchor_tf")
class MarginSupCon(ContrastiveMethod):
    """L = CE + SupCon + margin_weight mean over pairs of [same: d^2; other: max(0, m - d)^2].

    Both augmented views are rows of the contrastive and the margin term (see `losses.supcon` and
    `losses.pair_margin`); the cross-entropy is the mean over the two.

    Source: arXiv 2412.19747. We did not have its weights of the terms; equal ones are ours, and so
    is training the classifier jointly, after which none is fine-tuned.

    Args:
        backbone: Keras model from images to features.
        classes: number of classes.
        threat: what the evaluation will allow; unused in training.
        temperature: tau of the contrastive term, above 0.
        margin: m in (0, 2].
        margin_weight: mu, at least 0; 0 is the paper's baseline without margin.
        **setup: see `Method`.

    Raises:
        UserError: an argument out of range.
    """

    loss_terms = ("cross_entropy", "contrastive", "margin")
    default_finetune = "none"

    def __init__(
        self,
        backbone,
        classes,
        threat,
        *,
        temperature: float = 0.1,
        margin: float = 1.0,
        margin_weight: float = 1.0,
        **setup,
    ):
        super().__init__(backbone, classes, threat, **setup)
        if temperature <= 0 or margin_weight < 0 or not 0 < margin <= 2:
            raise UserError(
                "method margin_supcon: temperature must be above 0, margin above 0 and at most 2, "
                "margin_weight at least 0"
            )
        self.temperature = temperature
        self.margin = margin
        self.margin_weight = margin_weight

    def outcome(self, batch, adversarial, training=True):
        features, embeddings = self.encode_views(list(batch.views), training)
        logits = [self.classifier(view) for view in features]
        entropy = sum(self.cross_entropy(view, batch.labels) for view in logits) / 2
        contrastive = self.contrast(
            embeddings,
            batch.labels,
            2,
            batch.share,
            training=training,
            temperature=self.temperature,
        )
        losses = {
            "cross_entropy": entropy,
            "contrastive": contrastive,
            "margin": self.margin_weight * self._margin_loss(embeddings, batch),
        }
        return Outcome(losses, {"clean": logits[0]})

    def _margin_loss(self, embeddings, batch):
        """The margin term [B], averaged over the two views."""
        labels = tf.tile(batch.labels, [2])
        (columns, column_labels), row_offset = gathered([embeddings, labels], batch.share)
        rows = pair_margin(
            embeddings,
            labels,
            margin=self.margin,
            columns=columns,
            column_labels=column_labels,
            row_offset=row_offset,
        )
        return tf.add_n(tf.split(rows, 2)) / 2
