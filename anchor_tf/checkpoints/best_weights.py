"""The weights of the best epoch, kept twice: no later checkpoint could bring them back."""

import pathlib
from collections.abc import Sequence

from anchor_tf.checkpoints import checkpoint_file
from anchor_tf.checkpoints.checkpoint_file import DamagedCheckpointError
from anchor_tf.errors import UserError


class BestWeights:
    """Two equal files, of which one may be damaged.

    Args:
        folder: where PHASE_best.npz and PHASE_best_copy.npz are.
        phase: its name.
    """

    def __init__(self, folder: pathlib.Path, phase: str):
        self.paths = [folder / f"{phase}_best.npz", folder / f"{phase}_best_copy.npz"]

    @property
    def robust(self) -> float:
        """Accuracy of what is kept; -1 if nothing is."""
        if not any(path.exists() for path in self.paths):
            return -1.0
        return self._read()[2]["robust"]

    def save(self, arrays: Sequence, epoch: int, robust: float) -> None:
        """Keeps the weights of an epoch in place of the former ones."""
        for path in self.paths:
            checkpoint_file.write(path, arrays, {"epoch": epoch, "robust": robust})

    def restore(self, variables: Sequence) -> dict[str, float]:
        """Puts the weights back; returns the epoch and its accuracy.

        Raises:
            UserError: both files are damaged, or they belong to another model.
        """
        path, arrays, facts = self._read()
        checkpoint_file.assign(path, arrays, variables)
        return facts

    def check(self, variables: Sequence) -> None:
        """Checks that what is kept, if anything is, could be put back.

        Raises:
            UserError: see `restore`.
        """
        if any(path.exists() for path in self.paths):
            path, arrays, _ = self._read()
            checkpoint_file.check(path, arrays, variables)

    def _read(self):
        for path in self.paths:
            try:
                return path, *checkpoint_file.read(path)
            except DamagedCheckpointError as error:
                print(f"warning: {error}: taking its copy", flush=True)
        raise UserError(
            f"{self.paths[0]} and its copy are both missing or damaged: delete the run's folder "
            "to train again"
        )
