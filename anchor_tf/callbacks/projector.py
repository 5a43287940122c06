"""Shows the embeddings of the validation split in TensorBoard while they are learnt."""

import pathlib
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from anchor_tf.callbacks.validation_attack import ValidationAttack
from anchor_tf.tensorboard.projector import Shown, Side, write


class Projector(keras.callbacks.Callback):
    """Writes embeddings of clean and attacked validation images every few epochs.

    Every image is attacked, the misclassified ones too, as in the validation (see
    `validation_attack`).

    Args:
        folder: see `projector.write`; each time adds PHASE_epoch_N.
        phase: name of the phase.
        every: epochs between two times; the last epoch is always written.
        epochs: number of epochs.
        batches: elements with images, labels, index and mask.
        ids: int, of the images in the validation split, in the order of `index`.
        class_names: the name of each label.
        attack: on a batch.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        phase: str,
        every: int,
        epochs: int,
        *,
        batches: tf.data.Dataset,
        ids: np.ndarray,
        class_names: Sequence[str],
        attack: ValidationAttack,
    ):
        super().__init__()
        self.folder, self.phase, self.every, self.epochs = folder, phase, every, epochs
        self.batches, self.ids, self.class_names, self.attack = batches, ids, class_names, attack

    def on_train_begin(self, logs=None):
        self._embed = tf.function(self._embeddings, autograph=False)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every and epoch + 1 < self.epochs:
            return
        parts = [self._points(batch) for batch in self.batches]
        index, labels, *sides = (np.concatenate(column) for column in zip(*parts, strict=True))
        everything = np.ones(len(index), bool)
        shown = Shown(self.ids[index], labels, Side(*sides[:3]), Side(*sides[3:]), everything)
        write(self.folder, f"{self.phase}_epoch_{epoch + 1}", shown, self.class_names)

    def _points(self, batch) -> list[np.ndarray]:
        """Of a batch: index, labels; then images, embeddings, predictions, clean and attacked."""
        images, labels, index = batch["images"], batch["labels"], batch["index"]
        logits, adversarial, attacked = self.attack(self.model, images, labels, index)
        columns = [index, labels]
        for pixels, answers in ((images, logits), (adversarial, attacked)):
            columns += [pixels, self._embed(pixels), tf.argmax(answers, axis=1)]
        mask = batch["mask"].numpy()
        return [column.numpy()[mask] for column in columns]

    def _embeddings(self, images: tf.Tensor) -> tf.Tensor:
        features = self.model.encode_averaged(images)
        return tf.math.l2_normalize(tf.cast(features, tf.float32), axis=1)
