"""The folder of a run: what lies where, and whether a run may use it."""

import contextlib
import pathlib
from collections.abc import Collection, Sequence

from anchor_tf import config
from anchor_tf.checkpoints import checkpoint_file
from anchor_tf.checkpoints.checkpoint_file import DamagedCheckpointError
from anchor_tf.checkpoints.store import CheckpointStore
from anchor_tf.config import TrainConfig
from anchor_tf.errors import UserError
from anchor_tf.files import archives
from anchor_tf.files.atomic import remove_partial
from anchor_tf.models import model_path


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
        self.evaluation = self.path / "evaluation"  # of an evaluation under way
        self.export = self.path / "export"
        self.tflite = self.path / "model.tflite"  # only where it was asked for
        self.checkpoints = self.path / "checkpoints"  # a folder for each phase
        self.diverged = self.path / "diverged.json"  # the batch that a training ended with
        self.logs = self.path / "logs"
        self.projector = self.logs / "projector"

    @property
    def earlier_epochs(self) -> list[int]:
        """The lengths that the training had before it was made longer."""
        return config.earlier_epochs(self.config, config.load(self.config)[1])

    @property
    def precision(self) -> str | None:
        """The precision of the run here, if there is one."""
        return config.load(self.config)[0].precision if self.config.exists() else None

    @property
    def exported(self) -> bool:
        """Whether a whole SavedModel of the present model is there."""
        return self.model.exists() and model_path.exported(self.model, self.export)

    @property
    def finished(self) -> bool:
        """Whether the run has been trained, evaluated and exported."""
        return self.report.exists() and self.exported

    def trained(self, wanted: TrainConfig) -> bool:
        """Whether all models that a run of this configuration keeps are there."""
        keeps_last = wanted.epochs > 0 and wanted.select == "best"
        return self.model.exists() and (self.last_model.exists() or not keeps_last)

    def adopt(self, wanted: TrainConfig, given: Collection[str]) -> TrainConfig:
        """What a run here goes on with; changes nothing.

        Args:
            wanted: what the flags ask for.
            given: names of the flags that were given.

        Returns:
            The configuration: that of the run here, but for the flags that may change.

        Raises:
            UserError: it holds a run of another configuration, or files of something else; its
                training is to become shorter, or longer before it is done; or a SavedModel could
                not be read there (see `model_path.check_name`).
        """
        model_path.check_name(self.path)
        if not self.config.exists():
            self.check(wanted)
            return wanted
        present, _ = config.load(self.config)
        resulting, differing = config.continued(present, wanted, given)
        if differing:
            raise self._holds_another(differing)
        if resulting.epochs != present.epochs:
            self._check_length(present, resulting.epochs)
        elif self.trained(present):
            return present  # nothing is left that the other flags could change
        return resulting

    def holds(self, wanted: TrainConfig) -> bool:
        """Whether the run here is of exactly this configuration."""
        return config.load(self.config)[0] == wanted

    def check(self, wanted: TrainConfig) -> None:
        """Checks that a run of this configuration may use the folder; changes nothing.

        Raises:
            UserError: it holds a run of another configuration, or files of something else.
        """
        if self.config.exists():
            present, _ = config.load(self.config)
            differing = config.differences(present, wanted)
            if differing:
                raise self._holds_another(differing)
            return
        try:
            # A name with a dot may be what a killed run left of its own first write.
            others = [entry for entry in self.path.glob("*") if not entry.name.startswith(".")]
        except OSError as error:
            raise UserError(f"--workdir={self.path}: {error.strerror}") from error
        if others or (self.path.exists() and not self.path.is_dir()):
            raise UserError(f"{self.path} is not empty and holds no run: choose another --workdir")

    def check_data(self, digest: str) -> None:
        """Checks that the run here, if there is one, has begun on the data of this digest.

        Raises:
            UserError: it has begun on others.
        """
        if not self.config.exists():
            return
        present, kept = config.load(self.config)
        if kept.get("data_sha256") != digest:
            raise UserError(
                f"{self.path} has begun on other data than --dataset={present.dataset} holds now: "
                "restore them, or choose another --workdir"
            )

    def begin(self, wanted: TrainConfig, facts: dict) -> None:
        """Makes the folder the run's own.

        A run that is to have another number of epochs keeps its training; what was made of it is
        put aside in before/epochs_N.

        Args:
            wanted: the run's configuration.
            facts: further ones for config.json; "data_sha256" names what it is trained on.

        Raises:
            UserError: see `adopt`, the run has begun on other data, or the folder cannot be
                written.
        """
        self.adopt(wanted, vars(wanted))
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if self.config.exists():
                self.check_data(facts["data_sha256"])
                present, kept = config.load(self.config)
                if present == wanted:
                    return
                earlier = config.earlier_epochs(self.config, kept)
                if present.epochs != wanted.epochs and self._has_trained:
                    self._put_aside(present.epochs)
                    earlier = [*earlier, present.epochs]
                facts = {**facts, "earlier_epochs": earlier}
            config.save(self.config, wanted, facts)
        except OSError as error:
            raise UserError(f"--workdir={self.path}: {error.strerror}") from error

    def tidy(self) -> None:
        """Removes what a killed process left half written, and sets damaged models aside.

        They are warned of; the last checkpoint makes them again.
        """
        remove_partial(self.path)
        for path in (self.model, self.last_model):
            if path.exists() and not archives.is_whole(path):
                path.replace(path.with_name(f"{path.name}.damaged"))
                print(f"warning: {path} is damaged: set aside, making it anew", flush=True)

    @property
    def _has_trained(self) -> bool:
        """Whether anything was made here; a run of no epochs leaves a model and no history."""
        return self.history.exists() or self.model.exists()

    def _check_length(self, present: TrainConfig, wanted: int) -> None:
        """A training that has begun keeps its schedule to the end; then it may become longer."""
        begun = any((self.checkpoints / "train").glob("*")) or self.history.exists()
        saved = self._saved_epochs()
        if begun and wanted < present.epochs:
            raise UserError(
                f"--epochs={wanted}: {self.path} has begun {present.epochs}; choose another "
                "--workdir for a shorter run"
            )
        if begun and saved < present.epochs:
            first = "let them finish first, or " if not self.trained(present) else ""
            raise UserError(
                f"--epochs={wanted}: {self.path} has saved {saved} of {present.epochs}; {first}"
                "choose another --workdir"
            )

    def _saved_epochs(self) -> int:
        """Epochs of the training after which a continued one would go on."""
        for path in CheckpointStore(self.checkpoints / "train").paths:
            with contextlib.suppress(DamagedCheckpointError):
                return int(checkpoint_file.read(path)[1]["closed_epochs"])
        return 0

    def _put_aside(self, epochs: int) -> None:
        folder, number = self.path / "before" / f"epochs_{epochs}", 0
        while folder.exists():  # this was interrupted, and what it put aside was made again
            number += 1
            folder = folder.with_name(f"epochs_{epochs}.{number}")
        folder.mkdir(parents=True)
        finetuning = self.checkpoints.glob("finetune*")
        made = ["model.keras", "model.tflite", "last.keras", "report.*", "model_card.md"]
        made += ["outcomes.npz", "plots", "reports"]
        found = (path for pattern in made for path in self.path.glob(pattern))
        for path in (*found, *finetuning):
            path.replace(folder / path.name)

    def _holds_another(self, differing: Sequence[str]) -> UserError:
        return UserError(
            f"{self.path} holds another run: {', '.join(differing)}; choose another --workdir or "
            f"give the same flags (--{', --'.join(config.MAY_CHANGE)} may change)"
        )
