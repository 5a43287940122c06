"""ANCHOR: supervised contrastive learning over augmented and adversarial views."""

from typing import Literal

import tensorflow as tf

from anchor_tf.attacks.ascent import ascend, default_step_size
from anchor_tf.attacks.pgd import pgd
from anchor_tf.errors import UserError
from anchor_tf.losses.classification import cross_entropy
from anchor_tf.losses.supcon import supervised_contrastive
from anchor_tf.methods.base import ContrastiveMethod, Outcome, gathered


class Anchor(ContrastiveMethod):
    """L = mean l_i + ce_weight CE(c(f(x_adv)), y), l_i the hardness-weighted SupCon loss.

    The rows of l_i (see `losses.supcon`) are the projections of an augmented view x', of the
    adversarial view x_adv and, with three views, of the clean image. x_adv is found from a second
    augmentation x'' of the image, through the jointly trained classifier c in inference mode; all
    views then go through the networks in one training-mode pass.

    Source: ANCHOR, arXiv 2510.27599: hardness-weighted supervised contrastive learning over
    augmented and adversarial views with adversarial cross-entropy, then a linear classifier on the
    frozen backbone. Its weights and hyperparameters are not published in what we have: the form of
    the weights, the defaults here and starting the linear classifier from c are ours.

    Args:
        backbone: Keras model from images to features.
        classes: number of classes.
        threat: what the attack in training may do.
        temperature: tau of the contrastive loss, above 0.
        beta: hardness; 0 is SupCon.
        positives: keep only that many least similar positives of each row; all by default.
        ce_weight: weight of the adversarial cross-entropy, at least 0.
        objective: what the attack raises: the cross-entropy, or the contrastive loss of the
            adversarial view beside the augmented one (within the replica's batch).
        views: 2, or 3 with the clean image.
        head: whether fine-tuning starts from the trained classifier c or a fresh one.
        **setup: see `Method`.
    """

    loss_terms = ("contrastive", "adversarial_cross_entropy")
    accuracies = ("clean", "robust")

    def __init__(
        self,
        backbone,
        classes,
        threat,
        *,
        temperature: float = 0.1,
        beta: float = 1.0,
        positives: int | None = None,
        ce_weight: float = 1.0,
        objective: Literal["ce", "supcon"] = "ce",
        views: Literal[2, 3] = 2,
        head: Literal["trained", "fresh"] = "trained",
        **setup,
    ):
        super().__init__(backbone, classes, threat, **setup)
        if temperature <= 0 or ce_weight < 0 or (positives is not None and positives < 1):
            raise UserError(
                "method anchor: temperature must be above 0, ce_weight at least 0, positives at "
                "least 1"
            )
        self.temperature = temperature
        self.beta = beta
        self.positives = positives
        self.ce_weight = ce_weight
        self.objective = objective
        self.with_clean_image = views == 3
        self.fresh_head = head == "fresh"

    def perturb(self, batch, threat, keys):
        augmented, attacked = batch.views
        if self.objective == "ce":
            return pgd(self.classify, attacked, batch.labels, threat, keys, steps=self.attack_steps)
        anchors = self._embed(augmented)
        labels = tf.tile(batch.labels, [2])

        def contrastive(images):
            embeddings = tf.concat([anchors, self._embed(images)], axis=0)
            return self._contrastive(embeddings, labels)

        return ascend(
            contrastive,
            attacked,
            threat.random_start(attacked, keys),
            threat,
            self.attack_steps,
            default_step_size(threat, self.attack_steps),
        )

    def outcome(self, batch, adversarial):
        parts = [batch.views[0], adversarial] + [batch.images] * self.with_clean_image
        features = self.encode(tf.concat(parts, axis=0), training=True)
        logits = tf.split(self.classifier(features), len(parts))
        embeddings = self.projection_head(features, training=True)
        labels = tf.tile(batch.labels, [len(parts)])
        (columns, column_labels), row_offset = gathered([embeddings, labels])
        contrastive = self._contrastive(
            embeddings, labels, columns=columns, column_labels=column_labels, row_offset=row_offset
        )
        losses = {
            "contrastive": tf.add_n(tf.split(contrastive, len(parts))) / len(parts),
            "adversarial_cross_entropy": self.ce_weight * cross_entropy(logits[1], batch.labels),
        }
        return Outcome(losses, {"clean": logits[0], "robust": logits[1]})

    def _embed(self, images):
        return self.projection_head(self.encode(images, training=False), training=False)

    def _contrastive(self, embeddings, labels, **columns):
        return supervised_contrastive(
            embeddings,
            labels,
            temperature=self.temperature,
            beta=self.beta,
            positives=self.positives,
            **columns,
        )
