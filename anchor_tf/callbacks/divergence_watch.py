"""Ends a training that has met losses or gradients that are not finite."""

import json
import pathlib
import time
from collections.abc import Callable, Sequence

import keras

from anchor_tf.checkpoints.store import CheckpointStore
from anchor_tf.errors import DivergedError
from anchor_tf.files.atomic import replacing

_SECONDS_BETWEEN_LOOKS = 1.0  # each one waits for the device


class DivergenceWatch(keras.callbacks.Callback):
    """Looks at the method's guard, at each epoch's end and when `check` is called.

    Where the guard skips such steps, it adds `skipped_steps`, their number so far, to the epoch's
    logs instead.

    Args:
        phase: its name.
        steps: steps an epoch.
        indices: the examples of a step's batch.
        store: whose newest checkpoint the message names.
        details: the file, written by the first worker, that lists the batch.
    """

    def __init__(
        self,
        phase: str,
        steps: int,
        indices: Callable[[int], Sequence[int]],
        store: CheckpointStore,
        details: pathlib.Path,
    ):
        super().__init__()
        self.phase, self.steps, self.indices = phase, steps, indices
        self.store, self.details = store, details
        self._looked = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last look was some time ago."""
        return time.monotonic() - self._looked > _SECONDS_BETWEEN_LOOKS

    def on_epoch_end(self, epoch, logs=None):
        self.check()
        if self.model.guard.skips:
            logs["skipped_steps"] = float(self.model.guard.count)

    def check(self) -> None:
        """Looks now.

        Raises:
            DivergedError: a step was not finite, and such steps are not skipped.
        """
        self._looked = time.monotonic()
        guard = self.model.guard
        if guard.skips or guard.first_step < 0:
            return
        step, example = guard.first_step, guard.first_example
        indices = [int(index) for index in self.indices(step)]
        cause = f"loss of training image {example}" if example >= 0 else "gradient"
        if self.store.chief:
            content = {
                "phase": self.phase,
                "step": step,
                "first_image": example if example >= 0 else None,
                "images": indices,
            }
            with replacing(self.details) as file:
                file.write(json.dumps(content).encode() + b"\n")
        saved = self.store.paths
        raise DivergedError(
            f"diverged in phase {self.phase} at step {step} (epoch {step // self.steps + 1}, batch "
            f"{step % self.steps + 1} of {self.steps}): the {cause} is not finite; the batch is "
            f"listed in {self.details}, the last good checkpoint is "
            f"{saved[0] if saved else 'none'}: lower --learning_rate or take "
            "--on_divergence=skip"
        )
