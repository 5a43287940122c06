"""history.csv: one row an epoch, over all phases of a run."""

import csv
import io
import pathlib
import time

import keras

from anchor_tf.atomic import replacing

_LEADING = ("phase", "epoch", "step", "seconds", "learning_rate")


class History(keras.callbacks.Callback):
    """Writes each epoch's logs as a row; a continued run goes on after the last row it keeps.

    Args:
        path: the CSV file; other phases' rows in it are kept.
        phase: name of this phase.
        first_epoch: epochs of this phase that are already done; later rows of it are dropped.
    """

    def __init__(self, path: pathlib.Path, phase: str, first_epoch: int):
        super().__init__()
        self.path, self.phase = path, phase
        rows = []
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        self.rows = [r for r in rows if r["phase"] != phase or int(r["epoch"]) <= first_epoch]

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        row = {
            "phase": self.phase,
            "epoch": epoch + 1,
            "step": int(self.model.optimizer.iterations.numpy()),
            "seconds": f"{time.monotonic() - self._began:.3f}",
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
