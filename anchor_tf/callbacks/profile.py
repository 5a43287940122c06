"""A profile of a few training steps, for TensorBoard's profile plugin."""

import pathlib

import keras
import tensorflow as tf

SKIPPED = 2  # steps that compile and warm up


class Profile(keras.callbacks.Callback):
    """Records steps of this process, from its third on, and all that happens between them.

    Args:
        folder: a run of TensorBoard; the profile goes to FOLDER/plugins/profile.
        steps: how many.
    """

    def __init__(self, folder: pathlib.Path, steps: int):
        super().__init__()
        self.folder, self.steps = folder, steps
        self._taken, self._mark = 0, None

    def on_train_batch_end(self, batch, logs=None):
        self._taken += 1
        recorded = self._taken - SKIPPED
        if recorded == 0:
            tf.profiler.experimental.start(str(self.folder))
        elif self._mark is not None:
            self._close_step()
        if recorded == self.steps:
            self._stop()
        elif 0 <= recorded < self.steps:
            self._mark = tf.profiler.experimental.Trace("train", step_num=recorded, _r=1)
            self._mark.__enter__()

    def on_train_end(self, logs=None):
        if self._mark is not None:
            self._close_step()
            self._stop()
        if self._taken <= SKIPPED:
            print(f"warning: --profile: only {self._taken} steps, none recorded", flush=True)
        else:
            print(f"profile: {self.folder / 'plugins' / 'profile'}", flush=True)

    def _close_step(self) -> None:
        self._mark.__exit__(None, None, None)
        self._mark = None

    def _stop(self) -> None:
        self.model.optimizer.iterations.numpy()  # waits for the device
        tf.profiler.experimental.stop()
