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
        self.report = self.path / "report.json"
        self.export = self.path / "export"

    @property
    def finished(self) -> bool:
        """Whether the run has been trained, evaluated and exported."""
        return self.report.exists() and self.export.exists()

    def begin(self, wanted: TrainConfig, facts: dict) -> None:
        """Makes the folder the run's own, or checks that it is.

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
            if self.path.exists() and any(self.path.iterdir()):
                raise UserError(
                    f"{self.path} is not empty and holds no run: choose another --workdir"
                )
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--workdir={self.path}: {error.strerror}") from error
        config.save(self.config, wanted, facts)
