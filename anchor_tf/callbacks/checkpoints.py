"""Saves a phase while it is trained: at intervals, at its end, and when a signal stops it."""

import dataclasses
import signal
import time

import keras
import numpy as np
import tensorflow as tf

from anchor_tf.callbacks.divergence_watch import DivergenceWatch
from anchor_tf.callbacks.epoch_clock import EpochClock
from anchor_tf.checkpoints.store import CheckpointStore
from anchor_tf.devices import distribution
from anchor_tf.errors import StoppedError
from anchor_tf.terminal.interruption import Interruption

_LARGEST_SHARE = 0.01  # of the training time that saving may take


@dataclasses.dataclass(frozen=True)
class Interval:
    """When to save.

    Attributes:
        minutes: between two checkpoints; more if saving takes long, so that it costs at most 1 %.
        steps: save after every so many steps instead.
        keep: how many checkpoints of a phase to keep.
    """

    minutes: float = 1.0
    steps: int | None = None
    keep: int = 2


class Checkpoints(keras.callbacks.Callback):
    """Saves every variable of a method, its metrics' included, and where in the epoch it is.

    With data order and random draws being functions of (seed, step), these are the whole state.
    Several workers save at the same step, which they agree on; the first one writes.

    Args:
        store: of the phase.
        phase: its name.
        steps: steps an epoch.
        epochs: epochs of the phase; the last one is always saved.
        interval: when to save.
        clock: seconds of the epoch so far.
        watch: refuses to save what has diverged.
        strategy: of the replicas.
        interruption: where a signal is noticed, if anywhere.
    """

    def __init__(
        self,
        store: CheckpointStore,
        phase: str,
        *,
        steps: int,
        epochs: int,
        interval: Interval,
        clock: EpochClock,
        watch: DivergenceWatch,
        strategy: tf.distribute.Strategy,
        interruption: Interruption | None = None,
    ):
        super().__init__()
        self.store, self.phase, self.steps, self.epochs = store, phase, steps, epochs
        self.interval, self.clock, self.watch = interval, clock, watch
        self.strategy, self.interruption = strategy, interruption
        self._cost = 0.0

    def on_train_begin(self, logs=None):
        self._saved = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        requested = self.interruption is not None and self.interruption.requested is not None
        due = batch + 1 < self.steps and self._due(batch + 1)
        stop, due, look = self._agreed(requested, due, self.watch.due)
        if look:
            self.watch.check()
        step = self._epoch * self.steps + batch + 1
        if stop or due:
            if stop and self.interruption is not None:
                self.interruption.saving()
            self._save(self._epoch, step, self.clock.seconds)
        if stop:
            self._stop(step)

    def on_epoch_end(self, epoch, logs=None):
        last = epoch + 1 == self.epochs
        (due,) = self._agreed(self._due(self.steps))
        if due or last:
            self._save(epoch + 1, (epoch + 1) * self.steps, 0.0)  # of the epoch that follows

    def _due(self, steps_of_epoch: int) -> bool:
        if not self.store.chief:
            return False
        if self.interval.steps is not None:
            return (self._epoch * self.steps + steps_of_epoch) % self.interval.steps == 0
        least = max(60.0 * self.interval.minutes, self._cost / _LARGEST_SHARE)
        return time.monotonic() - self._saved >= least

    def _agreed(self, *wishes: bool) -> list[bool]:
        return distribution.any_worker(self.strategy, wishes)

    def _save(self, closed_epochs: int, step: int, seconds: float) -> None:
        """Saves what has taken so many seconds of the epoch under way."""
        self.watch.check()
        began = time.monotonic()
        # All workers read: what the metrics count is spread over them.
        arrays = [np.asarray(variable) for variable in self.model.resumable]
        if self.store.chief:
            self.store.save(step, arrays, closed_epochs=closed_epochs, seconds=seconds)
        self._saved = time.monotonic()
        self._cost = self._saved - began

    def _stop(self, step: int) -> None:
        number = self.interruption.requested if self.interruption else None
        number = number or int(signal.SIGTERM)  # another worker was asked to stop
        raise StoppedError(
            f"stopped by {signal.Signals(number).name}, saved: phase={self.phase} step={step}; "
            "the same command goes on from here",
            number,
        )
