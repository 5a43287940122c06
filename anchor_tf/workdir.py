"""The folder of a run: what lies where, and whether a run may use it."""

import pathlib

from anchor_tf import config
from anchor_tf.config import TrainConfig
from anchor_tf.errors import UserError


class Workdir:
    """Paths of a run.

    Args:
        path: the folder; created by `begin`.
    """

    def __init__(self, path: str | pathlib.Path):
        self.path = pathlib.Path(path)
        self.config = self.path / "config.json"
        self.model = self.path / "model.keras"
        self.last_model = self.path / "last.keras"  # only where the best epoch's is kept
        self.history = self.path / "history.csv"
        self.report = self.path / "report.json"
        self.export = self.path / "export"

    @property
    def exported(self) -> bool:
        """Whether a whole SavedModel is there."""
        return any(self.export.glob("*/saved_model.pb"))

    @property
    def finished(self) -> bool:
        """Whether the run has been trained, evaluated and exported."""
        return self.report.exists() and self.exported

    def check(self, wanted: TrainConfig) -> None:
        """Checks that a run of this configuration may use the folder; changes nothing.

        Raises:
            UserError: it holds a run of another configuration, or files of something else.
        """
        if self.config.exists():
            present, _ = config.load(self.config)
            differing = config.differences(present, wanted)
            if differing:
                raise UserError(
                    f"{self.path} holds another run: {', '.join(differing)}; choose another "
                    "--workdir or give the same flags"
                )
            return
        try:
            # A name with a dot may be what a killed run left of its own first write.
            others = [entry for entry in self.path.glob("*") if not entry.name.startswith(".")]
        except OSError as error:
            raise UserError(f"--workdir={self.path}: {error.strerror}") from error
        if others or (self.path.exists() and not self.path.is_dir()):
            raise UserError(f"{self.path} is not empty and holds no run: choose another --workdir")

    def begin(self, wanted: TrainConfig, facts: dict) -> None:
        """Makes the folder the run's own, after `check`.

        Raises:
            UserError: see `check`, or the folder cannot be written.
        """
        self.check(wanted)
        if self.config.exists():
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            config.save(self.config, wanted, facts)
        except OSError as error:
            raise UserError(f"--workdir={self.path}: {error.strerror}") from error
