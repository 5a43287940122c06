"""Plain training with cross-entropy: the classifier that has never seen an attack."""

import keras

from anchor_tf.methods.base import Method
from anchor_tf.methods.interface import Outcome


@keras.saving.register_keras_serializable("anchor_tf")
class CE(Method):
    """L = CE(c(f(x')), y) on one augmented view x'."""

    loss_terms = ("cross_entropy",)

    def outcome(self, batch, adversarial, training=True):
        logits = self(batch.views[0], training=training)
        return Outcome(
            {"cross_entropy": self.cross_entropy(logits, batch.labels)}, {"clean": logits}
        )
