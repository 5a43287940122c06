"""A look at what a network is shown: augmented images, attacked ones, and the perturbation."""

import pathlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.callbacks.validation_attack import ValidationAttack
from anchor_tf.pipelines.data import Split
from anchor_tf.tensorboard import event_files
from anchor_tf.tensorboard.mosaic import mosaic, thumbnails

_LARGEST, _GAP = 128, 2  # pixels of an image, and between two


class ExampleImages(keras.callbacks.Callback):
    """Writes a grid of the same training images after each validation, for TensorBoard.

    A column is an image. The first rows are its augmented views, then the last of them under the
    attack of the validation, then the perturbation alone, stretched to the full range around grey.
    The views are drawn once: from one validation to the next the perturbation alone changes.

    Args:
        folder: the phase's logs; the run is FOLDER/examples.
        split: few training images.
        augment: what `anchor_tf.pipelines.augment.build` returned.
        views: how many views training takes of an image.
        seed: of the augmentations.
        attack: on a batch.
        first_step: step that a continued run goes on from; what was written later is taken away.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        split: Split,
        augment: Callable,
        views: int,
        seed: int,
        attack: ValidationAttack,
        first_step: int,
    ):
        super().__init__()
        self.folder, self.split, self.augment = folder / "examples", split, augment
        self.views, self.seed, self.attack, self.first_step = views, seed, attack, first_step
        self._writer = None

    def on_train_begin(self, logs=None):
        event_files.trim(self.folder, self.first_step)
        self._augmented = None

    def on_epoch_end(self, epoch, logs=None):
        if "validation_robust" not in logs:
            return
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self.folder))
        with self._writer.as_default(step=int(self.model.optimizer.iterations.numpy())):
            tf.summary.image("views_attacked_perturbation", self._grid()[np.newaxis])
        self._writer.flush()

    def on_train_end(self, logs=None):
        if self._writer is not None:
            self._writer.close()

    def _views(self) -> list[tf.Tensor]:
        images = tf.image.convert_image_dtype(self.split.images, tf.float32)
        keys = keyed_random.example_keys(self.seed, 0, tf.range(len(self.split)))
        keys = keyed_random.fold(keys, "augment")
        return [self.augment(images, keyed_random.fold(keys, view)) for view in range(self.views)]

    def _grid(self) -> np.ndarray:
        if self._augmented is None:
            self._augmented = self._views()
        last, labels = self._augmented[-1], tf.constant(self.split.labels)
        _, adversarial, _ = self.attack(self.model, last, labels, tf.range(len(self.split)))
        delta = adversarial.numpy() - last.numpy()
        largest = np.abs(delta).max(axis=(1, 2, 3), keepdims=True)
        stretched = 0.5 + delta / (2.0 * np.maximum(largest, 1e-12))
        rows = np.concatenate([*self._augmented, adversarial, stretched])
        return mosaic(thumbnails(rows, _LARGEST), len(self.split), _GAP)
