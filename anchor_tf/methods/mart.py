"""MART: adversarial training that cares most for the examples it gets wrong."""

import keras
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.losses.boosted import boosted_cross_entropy
from anchor_tf.losses.divergence import kl_divergence
from anchor_tf.methods.base import Method
from anchor_tf.methods.interface import Outcome


@keras.saving.register_keras_serializable("anchor_tf")
class MART(Method):
    """L = BCE(c(f(x_adv)), y) + beta KL(p(x') || p(x_adv)) (1 - p_y(x')).

    BCE is the boosted cross-entropy of `losses.boosted`, p the softmax of the logits, and
    x_adv = PGD(x') on the cross-entropy.

    Source: Wang et al. 2020, "Improving Adversarial Robustness Requires Revisiting Misclassified
    Examples". Deviation: both kinds of images share one training-mode pass. Label smoothing does
    not apply.

    Args:
        backbone: Keras model from images to features.
        classes: number of classes.
        threat: what the attack in training may do.
        beta: weight of the divergence, at least 0; 5 is the paper's.
        **setup: see `Method`.

    Raises:
        UserError: beta below 0.
    """

    loss_terms = ("boosted_cross_entropy", "divergence")
    accuracies = ("clean", "robust")
    attacked_copies = 1
    trained_views = 2

    def __init__(self, backbone, classes, threat, *, beta: float = 5.0, **setup):
        super().__init__(backbone, classes, threat, **setup)
        if beta < 0:
            raise UserError("method mart: beta must be at least 0")
        self.beta = beta

    def perturb(self, batch, threat, keys):
        return self.attack_cross_entropy(batch.views[0], batch.labels, threat, keys)

    def outcome(self, batch, adversarial, training=True):
        both = self(tf.concat([batch.views[0], adversarial], axis=0), training=training)
        clean, robust = tf.split(both, 2)
        confidence = tf.gather(tf.nn.softmax(clean), batch.labels, batch_dims=1)
        divergence = kl_divergence(clean, robust) * (1.0 - confidence)
        losses = {
            "boosted_cross_entropy": boosted_cross_entropy(robust, batch.labels),
            "divergence": self.beta * divergence,
        }
        return Outcome(losses, {"clean": clean, "robust": robust})
