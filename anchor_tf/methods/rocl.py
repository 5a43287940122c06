"""RoCL-style pretraining: contrastive learning against attacks that know no labels."""

import keras
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.losses.infonce import info_nce
from anchor_tf.methods.contrastive import ContrastiveMethod, instance_objective
from anchor_tf.methods.extras.across_replicas import gathered
from anchor_tf.methods.interface import Outcome


@keras.saving.register_keras_serializable("anchor_tf")
class RoCL(ContrastiveMethod):
    """L = instance contrast of (x', x'', x_adv) + regularization nce(z_adv, z'').

    The first term is the contrastive loss of `losses.supcon`, in which every image is a
    class of its own: two augmentations and x_adv attract one another, all other images repel.
    x_adv maximises nce(z(x_adv), z(x'')) around x'. Labels are used by the probe alone.

    Source: Kim, Tack and Hwang 2020, "Adversarial Self-Supervised Contrastive Learning"; the
    regularization of 1/256 is theirs. Deviation: one temperature throughout, .1 by default where
    theirs is .5, and views are this project's augmentations.

    Args:
        backbone: Keras model from images to features.
        classes: number of classes.
        threat: what the attack in training may do.
        temperature: tau, above 0.
        regularization: lambda, at least 0.
        **setup: see `Method`.

    Raises:
        UserError: an argument out of range.
    """

    loss_terms = ("contrastive", "regularization", "probe_cross_entropy")
    contrasts_classes = False
    attacked_copies = 1
    trained_views = 3

    def __init__(
        self,
        backbone,
        classes,
        threat,
        *,
        temperature: float = 0.1,
        regularization: float = 1 / 256,
        **setup,
    ):
        super().__init__(backbone, classes, threat, **setup)
        if temperature <= 0 or regularization < 0:
            raise UserError("method rocl: temperature must be above 0, regularization at least 0")
        self.temperature = temperature
        self.regularization = regularization

    def perturb(self, batch, threat, keys):
        first, second = batch.views
        objective = instance_objective(
            self.embed, second, batch.index, self.temperature, batch.share
        )
        return self.attack(objective, first, threat, keys)

    def outcome(self, batch, adversarial, training=True):
        features, embeddings = self.encode_views([*batch.views, adversarial], training)
        logits, probe_loss = self.probe(features[0], batch.labels)
        _, second, attacked = tf.split(embeddings, 3)
        (negatives, negative_ids), _ = gathered([second, batch.index], batch.share)
        regularization = info_nce(
            attacked,
            second,
            negatives,
            batch.index,
            negative_ids,
            temperature=self.temperature,
        )
        losses = {
            "contrastive": self.contrast(
                embeddings,
                batch.index,
                3,
                batch.share,
                training=training,
                temperature=self.temperature,
            ),
            "regularization": self.regularization * regularization,
            "probe_cross_entropy": probe_loss,
        }
        return Outcome(losses, {"clean": logits})
