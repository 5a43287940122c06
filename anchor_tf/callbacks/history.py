"""history.csv: one row an epoch, over all phases of a run."""

import csv
import io
import pathlib

import keras

from anchor_tf.callbacks.epoch_clock import EpochClock
from anchor_tf.files.atomic import replacing
from anchor_tf.files.history_file import read

_LEADING = ("phase", "epoch", "step", "seconds", "learning_rate")


class History(keras.callbacks.Callback):
    """Writes each epoch's logs as a row; a continued run goes on after the last row it keeps.

    `seconds` are those of the epoch's steps, without validation.

    Args:
        path: the CSV file; other phases' rows in it are kept.
        phase: name of this phase.
        first_epoch: epochs of this phase that are already done; later rows of it are dropped.
        clock: seconds of the present epoch.
    """

    def __init__(self, path: pathlib.Path, phase: str, first_epoch: int, clock: EpochClock):
        super().__init__()
        self.path, self.phase, self.clock = path, phase, clock
        self.rows = [r for r in read(path) if r["phase"] != phase or int(r["epoch"]) <= first_epoch]

    def on_epoch_end(self, epoch, logs=None):
        row = {
            "phase": self.phase,
            "epoch": epoch + 1,
            "step": int(self.model.optimizer.iterations.numpy()),
            "seconds": f"{self.clock.seconds:.3f}",
            "learning_rate": f"{float(self.model.optimizer.learning_rate):.6g}",
        }
        self.rows.append(row | {name: f"{value:.6g}" for name, value in logs.items()})
        measures = dict.fromkeys(name for r in self.rows for name in r if name not in _LEADING)
        text = io.StringIO()
        writer = csv.DictWriter(text, [*_LEADING, *measures], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        with replacing(self.path) as file:
            file.write(text.getvalue().encode())
