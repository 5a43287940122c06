"""ANCHOR: supervised contrastive learning over augmented and adversarial views."""

from typing import Literal

import keras
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.losses.divergence import kl_divergence
from anchor_tf.losses.supcon import supervised_contrastive
from anchor_tf.methods.contrastive import ContrastiveMethod
from anchor_tf.methods.interface import Outcome


@keras.saving.register_keras_serializable("anchor_tf")
class Anchor(ContrastiveMethod):
    """L = mean l_i + ce_weight CE(c(f(x_adv)), y), l_i the hardness-weighted SupCon loss.

    The rows of l_i (see `losses.supcon`) are the projections of an augmented view x', of the
    adversarial view x_adv and, with three views, of the clean image. x_adv is found from a second
    augmentation x'' of the image, through the jointly trained classifier c in inference mode; all
    views then go through the networks in one training-mode pass.

    Source: ANCHOR, arXiv 2510.27599: hardness-weighted supervised contrastive learning over
    augmented and adversarial views with adversarial cross-entropy, then a linear classifier on the
    frozen backbone. We had its description, not its equations and hyperparameters: the form of
    the weights, the defaults here and starting the linear classifier from c are ours. So are two
    terms of weight 0 by default: CE(c(f(x')), y) and KL(c(f(x')) || c(f(x_adv))).

    Args:
        backbone: Keras model from images to features.
        classes: number of classes.
        threat: what the attack in training may do.
        temperature: tau of the contrastive loss, above 0.
        beta: hardness; 0 is SupCon.
        positives: keep only that many least similar positives of each row; all by default.
        contrastive_weight: weight of the contrastive loss, at least 0.
        ce_weight: weight of the adversarial cross-entropy, at least 0.
        clean_weight: weight of the augmented view's cross-entropy, at least 0; where this and
            ce_weight are 0, c is trained as a probe (see `ContrastiveMethod.probe`).
        divergence_weight: weight of the divergence between the two predictions, at least 0.
        objective: what the attack raises: the cross-entropy, the contrastive loss of the
            adversarial view beside the augmented one (within the replica's batch), or the
            divergence from the prediction on x''.
        views: 2, or 3 with the clean image.
        shared_view: whether x_adv starts from x' itself instead of a second augmentation.
        head: whether fine-tuning starts from the trained classifier c or a fresh one.
        **setup: see `Method`.

    Raises:
        UserError: an argument out of range.
    """

    accuracies = ("clean", "robust")
    attacked_copies = 1

    def __init__(
        self,
        backbone,
        classes,
        threat,
        *,
        temperature: float = 0.1,
        beta: float = 1.0,
        positives: int | None = None,
        contrastive_weight: float = 1.0,
        ce_weight: float = 1.0,
        clean_weight: float = 0.0,
        divergence_weight: float = 0.0,
        objective: Literal["ce", "supcon", "kl"] = "ce",
        views: Literal[2, 3] = 2,
        shared_view: bool = False,
        head: Literal["trained", "fresh"] = "trained",
        **setup,
    ):
        super().__init__(backbone, classes, threat, **setup)
        weights = (contrastive_weight, ce_weight, clean_weight, divergence_weight)
        if temperature <= 0 or min(weights) < 0 or (positives is not None and positives < 1):
            raise UserError(
                "method anchor: temperature must be above 0, weights at least 0, positives at "
                "least 1"
            )
        self.contrast_arguments = {"temperature": temperature, "beta": beta, "positives": positives}
        names = ("contrastive", "adversarial_cross_entropy", "clean_cross_entropy", "divergence")
        self.term_weights = {n: w for n, w in zip(names, weights, strict=True) if w > 0}
        if not self.term_weights:
            raise UserError("method anchor: at least one weight must be above 0")
        self.probes = ce_weight == clean_weight == 0
        self.loss_terms = (*self.term_weights, *["probe_cross_entropy"] * self.probes)
        self.objective = objective
        self.trained_views = views
        self.views = 1 if shared_view else 2
        self.fresh_head = head == "fresh"

    def perturb(self, batch, threat, keys):
        augmented, attacked = batch.views[0], batch.views[-1]
        if self.objective == "ce":
            return self.attack_cross_entropy(attacked, batch.labels, threat, keys)
        if self.objective == "kl":
            reference = tf.stop_gradient(self.classify(attacked))
            return self.attack(
                lambda moved: kl_divergence(reference, self.classify(moved)), attacked, threat, keys
            )
        anchors = self.embed(augmented)
        labels = tf.tile(batch.labels, [2])

        def contrastive(images):
            rows = tf.concat([anchors, self.embed(images)], axis=0)
            return supervised_contrastive(rows, labels, **self.contrast_arguments)

        return self.attack(contrastive, attacked, threat, keys)

    def outcome(self, batch, adversarial, training=True):
        views = [batch.views[0], adversarial, batch.images][: self.trained_views]
        features, embeddings = self.encode_views(views, training)
        clean, robust = self.classifier(features[0]), self.classifier(features[1])
        terms = {
            "contrastive": lambda: self.contrast(
                embeddings,
                batch.labels,
                len(views),
                batch.share,
                training=training,
                **self.contrast_arguments,
            ),
            "adversarial_cross_entropy": lambda: self.cross_entropy(robust, batch.labels),
            "clean_cross_entropy": lambda: self.cross_entropy(clean, batch.labels),
            "divergence": lambda: kl_divergence(clean, robust),
        }
        losses = {name: weight * terms[name]() for name, weight in self.term_weights.items()}
        if self.probes:
            losses["probe_cross_entropy"] = self.probe(features[0], batch.labels)[1]
        return Outcome(losses, {"clean": clean, "robust": robust})
