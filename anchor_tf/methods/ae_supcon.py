"""Adversarially enhanced SupCon: adversarial positives found without a trained classifier."""

from typing import Literal

import keras
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.methods.contrastive import ContrastiveMethod, instance_objective
from anchor_tf.methods.interface import Outcome


@keras.saving.register_keras_serializable("anchor_tf")
class AESupCon(ContrastiveMethod):
    """L = mean l_i over (x', x'', x_adv), l_i the supervised contrastive loss.

    x_adv maximises, around x', a contrastive loss that knows no labels: nce(u(x_adv), u(x'')) with
    the other images of the batch as negatives. u is the projection of the network being trained
    (`generator=encoder`), or the mean-centred, L2-normalised pixels (`generator=input`), for which
    no network is called.

    Source: the project's own proposal. A probe is trained beside it, see
    `ContrastiveMethod.probe`.

    Args:
        backbone: Keras model from images to features.
        classes: number of classes.
        threat: what the attack in training may do.
        generator: where adversarial positives come from.
        temperature: tau of both losses, above 0.
        **setup: see `Method`.

    Raises:
        UserError: temperature not above 0.
    """

    loss_terms = ("contrastive", "probe_cross_entropy")
    attacked_copies = 1
    trained_views = 3

    def __init__(
        self,
        backbone,
        classes,
        threat,
        *,
        generator: Literal["encoder", "input"] = "encoder",
        temperature: float = 0.1,
        **setup,
    ):
        super().__init__(backbone, classes, threat, **setup)
        if temperature <= 0:
            raise UserError("method ae_supcon: temperature must be above 0")
        self.temperature = temperature
        self.generator = generator
        if generator == "input":
            self.attacked_copies = 0  # passes through the network, of which there are none

    def perturb(self, batch, threat, keys):
        first, second = batch.views
        embed = self.embed if self.generator == "encoder" else unit_pixels
        objective = instance_objective(embed, second, batch.index, self.temperature, batch.share)
        return self.attack(objective, first, threat, keys)

    def outcome(self, batch, adversarial, training=True):
        features, embeddings = self.encode_views([*batch.views, adversarial], training)
        logits, probe_loss = self.probe(features[0], batch.labels)
        contrastive = self.contrast(
            embeddings,
            batch.labels,
            3,
            batch.share,
            training=training,
            temperature=self.temperature,
        )
        losses = {"contrastive": contrastive, "probe_cross_entropy": probe_loss}
        return Outcome(losses, {"clean": logits})


def unit_pixels(images: tf.Tensor) -> tf.Tensor:
    """Pixels [B, H W C] of each image, their mean taken away, scaled to unit length."""
    pixels = tf.reshape(images, [tf.shape(images)[0], images.shape[1:].num_elements()])
    return tf.nn.l2_normalize(pixels - tf.reduce_mean(pixels, axis=1, keepdims=True), axis=1)
