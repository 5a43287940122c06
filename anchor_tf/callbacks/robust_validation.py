"""Accuracy on the validation split during training, clean and under PGD."""

import keras
import numpy as np
import tensorflow as tf

from anchor_tf.callbacks.validation_attack import ValidationAttack
from anchor_tf.losses.classification import cross_entropy


class RobustValidation(keras.callbacks.Callback):
    """Adds what becomes of the validation split under attack to the epoch's logs.

    These are the accuracies `validation_clean` and `validation_robust`, and what tells a strong
    attack from a weak one: `validation_attack_loss_rise`, by how much it raises the mean
    cross-entropy, and `validation_attack_perturbation`, the mean distance it moves an image in the
    threat's norm. For the attack see `validation_attack`.

    Args:
        batches: elements with images, labels, index and mask.
        every: epochs between two validations; the last epoch is always validated.
        epochs: number of epochs.
        attack: on a batch.
    """

    def __init__(self, batches: tf.data.Dataset, every: int, epochs: int, attack: ValidationAttack):
        super().__init__()
        self.batches, self.every, self.epochs, self.attack = batches, every, epochs, attack

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every and epoch + 1 < self.epochs:
            return
        measures = np.concatenate([self._measures(batch) for batch in self.batches], axis=1)
        names = ("clean", "robust", "attack_loss_rise", "attack_perturbation")
        for name, values in zip(names, measures, strict=True):
            logs[f"validation_{name}"] = float(values.mean())

    def _measures(self, batch) -> np.ndarray:
        """Of each image: correct, correct before and after, loss gained, distance; [4, B]."""
        images, labels = batch["images"], batch["labels"]
        clean, adversarial, robust = self.attack(self.model, images, labels, batch["index"])
        correct, stands = (
            logits.numpy().argmax(axis=1) == labels.numpy() for logits in (clean, robust)
        )
        rise = cross_entropy(robust, labels) - cross_entropy(clean, labels)
        distance = self.model.threat.distance(adversarial, images)
        measures = np.array([correct, correct & stands, rise, distance], np.float64)
        return measures[:, batch["mask"].numpy()]
