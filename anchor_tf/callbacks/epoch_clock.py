"""Seconds that an epoch's steps take, over all continuations of it."""

import time

import keras


class EpochClock(keras.callbacks.Callback):
    """Runs while the steps of an epoch do; validation is not counted.

    Args:
        before: seconds that an earlier process has spent in the first epoch here.
    """

    def __init__(self, before: float = 0.0):
        super().__init__()
        self._before, self._next_before = before, before
        self._began = self._ended = 0.0

    @property
    def seconds(self) -> float:
        """Those of the present epoch so far."""
        return self._before + self._ended - self._began

    def on_epoch_begin(self, epoch, logs=None):
        self._before, self._next_before = self._next_before, 0.0
        self._began = self._ended = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        self._ended = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        self._ended = time.monotonic()  # by now the device has done what the last step asked of it
