"""TRADES: accuracy on clean images, and predictions that do not move under attack."""

import keras
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.errors import UserError
from anchor_tf.losses.divergence import kl_divergence
from anchor_tf.methods.base import Method
from anchor_tf.methods.interface import Outcome

# Of the start, in widths of the box: at the image itself the gradient of the divergence is zero.
NOISE = 1e-3


@keras.saving.register_keras_serializable("anchor_tf")
class TRADES(Method):
    """L = CE(c(f(x')), y) + beta KL(c(f(x')) || c(f(x_adv))), x_adv = argmax of the divergence.

    Source: Zhang et al. 2019, "Theoretically Principled Trade-off between Robustness and
    Accuracy"; the attack starts from x' + .001 N(0, 1). Deviation: clean and adversarial images go
    through one training-mode pass and share its batch statistics.

    Args:
        backbone: Keras model from images to features.
        classes: number of classes.
        threat: what the attack in training may do.
        beta: weight of the divergence, at least 0; 6 is the paper's for CIFAR-10.
        **setup: see `Method`.

    Raises:
        UserError: beta below 0.
    """

    loss_terms = ("cross_entropy", "divergence")
    accuracies = ("clean", "robust")
    attacked_copies = 1
    trained_views = 2

    def __init__(self, backbone, classes, threat, *, beta: float = 6.0, **setup):
        super().__init__(backbone, classes, threat, **setup)
        if beta < 0:
            raise UserError("method trades: beta must be at least 0")
        self.beta = beta

    def perturb(self, batch, threat, keys):
        images = batch.views[0]
        clean = tf.stop_gradient(self.classify(images))
        noise = keyed_random.normal(keys, images.shape[1:].as_list())
        return self.attack(
            lambda moved: kl_divergence(clean, self.classify(moved)),
            images,
            threat,
            keys,
            start=images + NOISE * threat.width * noise,
        )

    def outcome(self, batch, adversarial, training=True):
        both = self(tf.concat([batch.views[0], adversarial], axis=0), training=training)
        clean, robust = tf.split(both, 2)
        losses = {
            "cross_entropy": self.cross_entropy(clean, batch.labels),
            "divergence": self.beta * kl_divergence(clean, robust),
        }
        return Outcome(losses, {"clean": clean, "robust": robust})
