"""Friendly adversarial training: attacks that stop soon after they have succeeded."""

import keras
import tensorflow as tf

from anchor_tf.attacks.ascent import default_step_size, finite_gradient
from anchor_tf.attacks.inputs import per_image
from anchor_tf.errors import UserError
from anchor_tf.losses.classification import cross_entropy, margin
from anchor_tf.methods.base import Method
from anchor_tf.methods.interface import Outcome


@keras.saving.register_keras_serializable("anchor_tf")
class FAT(Method):
    """L = CE(c(f(x_adv)), y), x_adv the misclassified PGD iterate at which `tau` others lie behind.

    An example that PGD does not break often enough keeps its last iterate.

    Source: Zhang et al. 2020, "Attacks Which Do Not Kill Training Make Adversarial Learning
    Stronger" (PGD-K-tau). The paper raises tau during training; ours stays.

    Args:
        backbone: Keras model from images to features.
        classes: number of classes.
        threat: what the attack in training may do.
        tau: misclassified iterates to go on from before an example stops, at least 0.
        **setup: see `Method`; its training_attack must be "pgd".

    Raises:
        UserError: tau below 0, or another training attack.
    """

    loss_terms = ("adversarial_cross_entropy",)
    accuracies = ("robust",)
    attacked_copies = 1
    stops_early = True

    def __init__(self, backbone, classes, threat, *, tau: int = 1, **setup):
        super().__init__(backbone, classes, threat, **setup)
        if tau < 0 or self.training_attack != "pgd":
            raise UserError("method fat: tau must be at least 0, --training_attack pgd")
        self.tau = tau

    def perturb(self, batch, threat, keys):
        return self.in_parts(lambda: self._friends(batch, threat, keys))

    def _friends(self, batch, threat, keys):
        """Iterates of PGD, each stopped after tau misclassified ones have been passed."""
        images = batch.views[0]
        step_size = default_step_size(threat, self.attack_steps)

        def step(count, current, left, _):
            gradient, broken = self._gradient(current, batch.labels)
            stopped = broken & (left == 0)
            moved = threat.project(current + step_size * threat.steepest(gradient), images)
            moved = tf.where(per_image(stopped, images), current, moved)
            return count + 1, moved, left - tf.cast(broken & ~stopped, tf.int32), stopped

        none = tf.zeros_like(batch.labels)
        _, adversarial, *_ = tf.while_loop(
            lambda count, current, left, stopped: ~tf.reduce_all(stopped),
            step,
            (0, threat.random_start(images, keys), none + self.tau, tf.cast(none, tf.bool)),
            maximum_iterations=self.attack_steps,
            parallel_iterations=1,
        )
        return tf.stop_gradient(adversarial)

    def outcome(self, batch, adversarial, training=True):
        logits = self(adversarial, training=training)
        loss = self.cross_entropy(logits, batch.labels)
        return Outcome({"adversarial_cross_entropy": loss}, {"robust": logits})

    def _gradient(self, images, labels):
        """Gradient of the cross-entropy, and which images are misclassified, from one pass."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logits = self.classify(images)
            loss = tf.reduce_sum(self.scaled(cross_entropy(logits, labels)))
        return finite_gradient(tape, loss, images), margin(logits, labels) > 0
