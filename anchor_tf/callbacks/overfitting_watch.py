"""A watch for catastrophic overfitting, to which training on weak attacks is prone."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from anchor_tf.files import history_file

FALL = 0.5  # of the best PGD accuracy so far


def catastrophic_epoch(robust: Sequence[tuple[int, float]], classes: int) -> int | None:
    """The first validated epoch at which PGD accuracy had fallen below half of its best.

    Best values near chance do not count: nothing had been learnt that could be lost. Near means
    below twice chance, or for few classes half-way from chance to 1.

    Source of the phenomenon: Wong, Rice and Kolter 2020, "Fast is Better than Free". The threshold
    is ours.

    Args:
        robust: (epoch, accuracy under PGD on the validation split), in order.
        classes: number of classes.
    """
    best, learnt = 0.0, min(2 / classes, (1 + 1 / classes) / 2)
    for epoch, accuracy in robust:
        if best > learnt and accuracy < FALL * best:
            return epoch
        best = max(best, accuracy)
    return None


def warnings(
    path: pathlib.Path, classes: int, select: str, phases: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """A sentence for the report for each phase of a history.csv that overfitted.

    Args:
        path: of the history.csv.
        classes: number of classes.
        select: "best" where the best epoch's weights are kept, else "last".
        phases: see `training.attack_facts`; one without attack cannot overfit to it.
    """
    found = []
    for phase in (name for name, facts in phases.items() if facts["attack"]):
        robust = _robust_epochs(path, phase)
        epoch = catastrophic_epoch(list(robust.items()), classes)
        if epoch is not None:
            found.append(_sentence(phase, epoch, robust, select))
    return found


def _robust_epochs(path: pathlib.Path, phase: str) -> dict[int, float]:
    rows = [
        r for r in history_file.read(path) if r["phase"] == phase and r.get("validation_robust")
    ]
    return {int(row["epoch"]): float(row["validation_robust"]) for row in rows}


def _sentence(phase: str, epoch: int, robust: dict[int, float], select: str) -> str:
    best = max(value for other, value in robust.items() if other < epoch)
    advice = "attack with more steps"
    if phase == "train" and select != "best":
        advice = f"keep an earlier epoch with --select=best, or {advice}"
    return (
        f"phase {phase}: PGD accuracy on the validation split fell from {best:.1%} to "
        f"{robust[epoch]:.1%} at epoch {epoch}, catastrophic overfitting to the training attack: "
        f"{advice}"
    )


class OverfittingWatch(keras.callbacks.Callback):
    """Prints a warning when it happens.

    Args:
        phase: name of the phase.
        classes: number of classes.
        history_path: history.csv, for what a continued run had seen.
        closed_epochs: epochs of it that are done; later rows are of a run that was put aside.
        select: see `warnings`.
    """

    def __init__(self, phase: str, classes: int, history_path, closed_epochs: int, select: str):
        super().__init__()
        self.phase, self.classes, self.select = phase, classes, select
        self.history_path, self.closed_epochs = history_path, closed_epochs

    def on_train_begin(self, logs=None):
        rows = _robust_epochs(self.history_path, self.phase)
        self._robust = {e: robust for e, robust in rows.items() if e <= self.closed_epochs}
        fallen = catastrophic_epoch(list(self._robust.items()), self.classes) is not None
        self._told = fallen or not self.model.attacks()  # without an attack there is none to fit

    def on_epoch_end(self, epoch, logs=None):
        if "validation_robust" not in logs or self._told:
            return
        self._robust[epoch + 1] = logs["validation_robust"]
        fallen = catastrophic_epoch(list(self._robust.items()), self.classes)
        if fallen is not None:
            self._told = True
            told = _sentence(self.phase, fallen, self._robust, self.select)
            print(f"warning: {told}", flush=True)
