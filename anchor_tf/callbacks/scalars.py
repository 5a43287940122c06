"""TensorBoard scalars: training and validation as two runs that line up."""

import pathlib
import time

import keras
import tensorflow as tf


class Scalars(keras.callbacks.Callback):
    """Writes each epoch's logs, the learning rate, epsilon and images a second.

    Args:
        folder: the logs folder; the runs are PHASE/training and PHASE/validation in it.
        phase: name of this phase.
        images_per_epoch: training images an epoch, for the throughput.
    """

    def __init__(self, folder: pathlib.Path, phase: str, images_per_epoch: int):
        super().__init__()
        self.folder, self.phase, self.images_per_epoch = folder, phase, images_per_epoch
        self._writers = {}

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        self._trained = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        iterations = self.model.optimizer.iterations
        scalars = {
            "learning_rate": float(self.model.optimizer.learning_rate),
            "epsilon": float(self.model.current_threat(iterations.value).epsilon),
            "images_per_second": self.images_per_epoch / (self._trained - self._began),
        }
        for name, value in {**logs, **scalars}.items():
            kind, _, measure = name.rpartition("validation_")
            run = "validation" if kind or name.startswith("validation_") else "training"
            with self._writer(run).as_default(step=int(iterations.numpy())):
                tf.summary.scalar(f"{measure}_accuracy" if run == "validation" else name, value)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs=None):
        for writer in self._writers.values():
            writer.close()

    def _writer(self, run: str):
        if run not in self._writers:
            folder = self.folder / self.phase / run
            self._writers[run] = tf.summary.create_file_writer(str(folder))
        return self._writers[run]
