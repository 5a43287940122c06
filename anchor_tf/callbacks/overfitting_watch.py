"""A watch for catastrophic overfitting, to which training on weak attacks is prone."""

import pathlib
from collections.abc import Sequence

import keras

from anchor_tf.callbacks import history

FALL = 0.5  # of the best PGD accuracy so far


def catastrophic_epoch(robust: Sequence[tuple[int, float]], classes: int) -> int | None:
    """The first validated epoch at which PGD accuracy had fallen below half of its best.

    Best values of less than twice chance do not count: nothing had been learnt that could be lost.

    Source of the phenomenon: Wong, Rice and Kolter 2020, "Fast is Better than Free". The threshold
    is ours.

    Args:
        robust: (epoch, accuracy under PGD on the validation split), in order.
        classes: number of classes.
    """
    best = 0.0
    for epoch, accuracy in robust:
        if best > 2 / classes and accuracy < FALL * best:
            return epoch
        best = max(best, accuracy)
    return None


def warnings(path: pathlib.Path, classes: int) -> list[str]:
    """A sentence for the report for each phase of a history.csv that overfitted."""
    found = []
    for phase in ("train", "finetune"):
        rows = [r for r in history.read(path) if r["phase"] == phase and r.get("validation_robust")]
        robust = [(int(row["epoch"]), float(row["validation_robust"])) for row in rows]
        epoch = catastrophic_epoch(robust, classes)
        if epoch is not None:
            found.append(_sentence(phase, epoch, dict(robust)))
    return found


def _sentence(phase: str, epoch: int, robust: dict[int, float]) -> str:
    best = max(value for other, value in robust.items() if other < epoch)
    return (
        f"phase {phase}: PGD accuracy on the validation split fell from {best:.1%} to "
        f"{robust[epoch]:.1%} at epoch {epoch}, catastrophic overfitting to the training attack: "
        "use --select=best, or more attack steps"
    )


class OverfittingWatch(keras.callbacks.Callback):
    """Prints a warning when it happens.

    Args:
        phase: name of the phase.
        classes: number of classes.
    """

    def __init__(self, phase: str, classes: int):
        super().__init__()
        self.phase, self.classes = phase, classes
        self._robust, self._told = {}, False

    def on_epoch_end(self, epoch, logs=None):
        if "validation_robust" not in logs or self._told:
            return
        self._robust[epoch + 1] = logs["validation_robust"]
        fallen = catastrophic_epoch(list(self._robust.items()), self.classes)
        if fallen is not None:
            self._told = True
            print(f"warning: {_sentence(self.phase, fallen, self._robust)}", flush=True)
