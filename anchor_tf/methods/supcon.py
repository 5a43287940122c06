"""Supervised contrastive learning without an attack."""

import keras

from anchor_tf.errors import UserError
from anchor_tf.methods.contrastive import ContrastiveMethod
from anchor_tf.methods.interface import Outcome


@keras.saving.register_keras_serializable("anchor_tf")
class SupCon(ContrastiveMethod):
    """L = mean l_i over two augmented views, l_i the supervised contrastive loss.

    Source: Khosla et al. 2020, "Supervised Contrastive Learning", L_out. A probe is trained beside
    it (see `ContrastiveMethod.probe`), from which the linear classifier on the frozen backbone is
    fine-tuned.

    Args:
        backbone: Keras model from images to features.
        classes: number of classes.
        threat: what the evaluation will allow; unused in training.
        temperature: tau, above 0.
        **setup: see `Method`.

    Raises:
        UserError: temperature not above 0.
    """

    loss_terms = ("contrastive", "probe_cross_entropy")

    def __init__(self, backbone, classes, threat, *, temperature: float = 0.1, **setup):
        super().__init__(backbone, classes, threat, **setup)
        if temperature <= 0:
            raise UserError("method supcon: temperature must be above 0")
        self.temperature = temperature

    def outcome(self, batch, adversarial, training=True):
        features, embeddings = self.encode_views(list(batch.views), training)
        logits, probe_loss = self.probe(features[0], batch.labels)
        contrastive = self.contrast(
            embeddings,
            batch.labels,
            2,
            batch.share,
            training=training,
            temperature=self.temperature,
        )
        losses = {"contrastive": contrastive, "probe_cross_entropy": probe_loss}
        return Outcome(losses, {"clean": logits})
