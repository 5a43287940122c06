"""Accuracy on the validation split during training, clean and under PGD."""

import keras
import numpy as np
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.attacks.pgd import pgd

STEPS = 10


class RobustValidation(keras.callbacks.Callback):
    """Adds `validation_clean` and `validation_robust` of what would be kept to the epoch's logs.

    The attack is PGD-10 at the full epsilon of the method's threat, its start keyed by the example
    alone, so that the epochs are compared on the same problem.

    Args:
        batches: elements with images, labels, index and mask.
        every: epochs between two validations; the last epoch is always validated.
        epochs: number of epochs.
        seed: seed of the random starts.
    """

    def __init__(self, batches: tf.data.Dataset, every: int, epochs: int, seed: int):
        super().__init__()
        self.batches, self.every, self.epochs, self.seed = batches, every, epochs, seed
        self._correct = None

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every and epoch + 1 < self.epochs:
            return
        clean, robust, count = np.sum([self._count(batch) for batch in self.batches], axis=0)
        logs["validation_clean"] = float(clean / count)
        logs["validation_robust"] = float(robust / count)

    def _count(self, batch) -> list[int]:
        if self._correct is None:
            self._correct = tf.function(self._correct_predictions)
        clean, robust = self._correct(batch["images"], batch["labels"], batch["index"])
        mask = batch["mask"].numpy()
        return [clean.numpy()[mask].sum(), robust.numpy()[mask].sum(), mask.sum()]

    def _correct_predictions(self, images, labels, index):
        model = self.model
        keys = keyed_random.example_keys(self.seed, 0, index)
        classify = model.classify_averaged
        adversarial = pgd(classify, images, labels, model.threat, keys, steps=STEPS)

        def correct(inputs):
            return tf.argmax(classify(inputs), axis=-1, output_type=tf.int32) == labels

        clean = correct(images)
        return clean, clean & correct(adversarial)
