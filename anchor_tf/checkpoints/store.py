"""The checkpoints of a phase: the last few, newest first when a run goes on."""

import contextlib
import pathlib
from collections.abc import Sequence

from anchor_tf.checkpoints import checkpoint_file
from anchor_tf.checkpoints.checkpoint_file import DamagedCheckpointError


class CheckpointStore:
    """Files STEP.npz in a folder.

    Args:
        folder: the phase's own.
        keep: how many to keep.
        chief: whether this process may change the folder; the other workers only read.
    """

    def __init__(self, folder: pathlib.Path, keep: int = 2, chief: bool = True):
        self.folder, self.keep, self.chief = folder, keep, chief

    @property
    def paths(self) -> list[pathlib.Path]:
        """The files, newest first."""
        return sorted(self.folder.glob("[0-9]*.npz"), reverse=True)

    def save(self, step: int, arrays: Sequence, **facts: float) -> None:
        """Writes a checkpoint, then removes what is older than the last few."""
        path = self.folder / f"{step:09d}.npz"
        checkpoint_file.write(path, arrays, {"step": step, **facts})
        for old in self.paths[self.keep :]:
            old.unlink(missing_ok=True)

    def restore(self, variables: Sequence) -> dict[str, float] | None:
        """Puts the newest whole checkpoint back into the variables.

        A damaged one is set aside as STEP.npz.damaged, with a warning, and the one before is
        taken.

        Returns:
            Its further numbers, "step" among them; None if there is no checkpoint.

        Raises:
            UserError: it belongs to another model.
        """
        for path in self.paths:
            try:
                arrays, facts = checkpoint_file.read(path)
            except DamagedCheckpointError as error:
                self._set_aside(path, error)
                continue
            checkpoint_file.assign(path, arrays, variables)
            return facts
        return None

    def check(self, variables: Sequence) -> None:
        """Checks that `restore` would not refuse; changes nothing.

        Raises:
            UserError: the newest whole checkpoint belongs to another model.
        """
        for path in self.paths:
            with contextlib.suppress(DamagedCheckpointError):
                arrays, _ = checkpoint_file.read(path)
                checkpoint_file.check(path, arrays, variables)
                return

    def _set_aside(self, path: pathlib.Path, error: Exception) -> None:
        if self.chief:
            path.replace(path.with_name(f"{path.name}.damaged"))
            print(f"warning: {error}: set aside, taking the one before", flush=True)
