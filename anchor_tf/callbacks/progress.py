"""The progress of training on the console, for a person to read."""

import sys
import time

import keras

from anchor_tf.terminal import console

_NAMES = {
    "loss": ("loss", "{:.3f}"),
    "clean_accuracy": ("clean", "{:.1%}"),
    "robust_accuracy": ("robust", "{:.1%}"),
    "validation_clean": ("validation clean", "{:.1%}"),
    "validation_robust": ("robust", "{:.1%}"),
}


class Progress(keras.callbacks.Callback):
    """One line: epoch, loss, accuracies, time left. On a terminal it is rewritten in place.

    Elsewhere a line is printed for the first and last epoch and each validation.

    Args:
        phase: name of the phase.
        epochs: number of epochs.
        steps: steps an epoch.
        first_step: steps already done when this process began.
    """

    def __init__(self, phase: str, epochs: int, steps: int, first_step: int):
        super().__init__()
        self.phase, self.epochs, self.steps, self.first_step = phase, epochs, steps, first_step
        self._shown = 0.0

    def on_train_begin(self, logs=None):
        self._began, self._epoch = time.monotonic(), self.first_step // self.steps

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if sys.stdout.isatty() and time.monotonic() - self._shown > 1.0:
            self._shown = time.monotonic()
            # Without measures: reading them stops the device, and with it the other workers.
            self._print(batch + 1, {}, last=False)

    def on_epoch_end(self, epoch, logs=None):
        validated = "validation_robust" in logs
        if (
            validated
            or sys.stdout.isatty()
            or epoch in (self.first_step // self.steps, self.epochs - 1)
        ):
            self._print(self.steps, logs, last=validated or epoch == self.epochs - 1)

    def _print(self, batches: int, logs, *, last: bool):
        step = self._epoch * self.steps + batches
        taken = max(step - self.first_step, 1)
        left = (time.monotonic() - self._began) / taken * (self.epochs * self.steps - step)
        measures = "  ".join(
            f"{label} {form.format(logs[name])}"
            for name, (label, form) in _NAMES.items()
            if name in logs
        )
        here = f"{self.phase}  epoch {self._epoch + 1}/{self.epochs}"
        console.rewrite(f"{here}  {measures}  {console.clock(left)} left", last=last)
