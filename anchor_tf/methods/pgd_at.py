"""PGD adversarial training, the baseline that robust methods are judged by."""

import keras

from anchor_tf.methods.base import Method
from anchor_tf.methods.interface import Outcome


@keras.saving.register_keras_serializable("anchor_tf")
class PGDAT(Method):
    """L = CE(c(f(x_adv)), y), with x_adv = PGD(x') on the augmented view x'.

    Source: Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks". The
    attack runs in inference mode; the clean images are not passed through the network.
    """

    loss_terms = ("adversarial_cross_entropy",)
    accuracies = ("robust",)
    attacked_copies = 1

    def perturb(self, batch, threat, keys):
        return self.attack_cross_entropy(batch.views[0], batch.labels, threat, keys)

    def outcome(self, batch, adversarial, training=True):
        logits = self(adversarial, training=training)
        loss = self.cross_entropy(logits, batch.labels)
        return Outcome({"adversarial_cross_entropy": loss}, {"robust": logits})
