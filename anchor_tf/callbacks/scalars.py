"""TensorBoard scalars: training and validation as two runs that line up."""

import pathlib

import keras
import tensorflow as tf

from anchor_tf.callbacks.epoch_clock import EpochClock
from anchor_tf.tensorboard import event_files


class Scalars(keras.callbacks.Callback):
    """Writes each epoch's logs, the learning rate, epsilon and images a second.

    Accuracies have the same names in both runs.

    Args:
        folder: the logs folder; the runs are PHASE/training and PHASE/validation in it.
        phase: name of this phase.
        images_per_epoch: training images an epoch, for the throughput.
        clock: seconds of the present epoch.
        first_step: step that a continued run goes on from; what was written later is taken away.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        phase: str,
        images_per_epoch: int,
        clock: EpochClock,
        first_step: int,
    ):
        super().__init__()
        self.folder, self.phase, self.images_per_epoch = folder, phase, images_per_epoch
        self.clock, self.first_step = clock, first_step
        self._writers = {}

    def on_train_begin(self, logs=None):
        for run in ("training", "validation"):
            event_files.trim(self.folder / self.phase / run, self.first_step)

    def on_epoch_end(self, epoch, logs=None):
        iterations = self.model.optimizer.iterations
        scalars = {
            "learning_rate": float(self.model.optimizer.learning_rate),
            "epsilon": float(self.model.current_threat(iterations.value).epsilon),
            "images_per_second": self.images_per_epoch / self.clock.seconds,
        }
        for name, value in {**logs, **scalars}.items():
            measure = name.removeprefix("validation_")
            run = "training" if measure == name else "validation"
            if run == "validation" and measure in ("clean", "robust"):
                measure = f"{measure}_accuracy"
            with self._writer(run).as_default(step=int(iterations.numpy())):
                tf.summary.scalar(measure, value)
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
