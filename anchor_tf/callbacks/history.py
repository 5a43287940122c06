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

    `seconds` are those of the epoch's steps, without validation.

    Args:
        path: the CSV file; other phases' rows in it are kept.
        phase: name of this phase.
        first_epoch: epochs of this phase that are already done; later rows of it are dropped.
    """

    def __init__(self, path: pathlib.Path, phase: str, first_epoch: int):
        super().__init__()
        self.path, self.phase = path, phase
        self.rows = [r for r in read(path) if r["phase"] != phase or int(r["epoch"]) <= first_epoch]

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        self._trained = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        row = {
            "phase": self.phase,
            "epoch": epoch + 1,
            "step": int(self.model.optimizer.iterations.numpy()),
            "seconds": f"{self._trained - self._began:.3f}",
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


def read(path: pathlib.Path) -> list[dict[str, str]]:
    """The rows of a history.csv; none if there is no file."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def training_seconds(path: pathlib.Path) -> float:
    """Seconds of the epochs that led to the model kept, validation not counted."""
    rows = (row for row in read(path) if row["phase"] in ("train", "finetune"))
    return sum(float(row["seconds"]) for row in rows)
