"""The callbacks that watch a phase: what all workers do, and what the first one writes."""

import dataclasses
import pathlib
from collections.abc import Callable

from anchor_tf.callbacks.best_checkpoint import BestCheckpoint
from anchor_tf.callbacks.epoch_clock import EpochClock
from anchor_tf.callbacks.example_images import ExampleImages
from anchor_tf.callbacks.history import History
from anchor_tf.callbacks.overfitting_watch import OverfittingWatch
from anchor_tf.callbacks.profile import Profile
from anchor_tf.callbacks.progress import Progress
from anchor_tf.callbacks.projector import Projector
from anchor_tf.callbacks.robust_validation import RobustValidation
from anchor_tf.callbacks.scalars import Scalars
from anchor_tf.callbacks.validation_attack import ValidationAttack
from anchor_tf.checkpoints.best import BestWeights
from anchor_tf.config import TrainConfig
from anchor_tf.phase import Phase
from anchor_tf.projector import POINTS
from pipelines import build
from pipelines.data import ImageData
from pipelines.splits import steps_per_epoch, subset

WATCHED = 512  # validation images, class-balanced, that are attacked during training
SHOWN = 8  # training images, class-balanced, of which TensorBoard shows views and attacks


@dataclasses.dataclass(frozen=True)
class TensorBoard:
    """What TensorBoard is to show of a phase beyond what it always does.

    Attributes:
        projector_every: epochs between two looks at the embeddings; none if None.
        profile: steps to profile.
    """

    projector_every: int | None = None
    profile: int = 0


@dataclasses.dataclass(frozen=True)
class Watching:
    """What is watched of a phase.

    Attributes:
        data: train and validation splits.
        augment: what `pipelines.augment.build` returned.
        views: how many views training takes of an image.
        phase: its name and epochs.
        config: of the run.
        workdir: where logs, history.csv and the best weights go.
        attack: on validation images, the same in all that is watched.
        tensorboard: what else to show.
    """

    data: ImageData
    augment: Callable
    views: int
    phase: Phase
    config: TrainConfig
    workdir: pathlib.Path
    attack: ValidationAttack
    tensorboard: TensorBoard

    def validation(self) -> RobustValidation:
        """What every worker does, as they are to agree on the epoch's logs."""
        batches, _ = self._batches(WATCHED)
        every = self.config.validate_every
        return RobustValidation(batches, every, self.phase.epochs, self.attack)

    def written(self, clock: EpochClock, closed_epochs: int, step: int) -> list:
        """What the first worker alone does.

        Args:
            clock: seconds of the present epoch.
            closed_epochs: epochs that are done.
            step: steps that are done.
        """
        name, history = self.phase.name, self.workdir / "history.csv"
        steps = steps_per_epoch(self.data.train, self.config.batch_size)
        images, first = steps * self.config.batch_size, closed_epochs * steps
        callbacks = [
            OverfittingWatch(name, self.data.classes, history),
            History(history, name, closed_epochs, clock),
            Scalars(self.workdir / "logs", name, images, clock, first),
            self._examples(first),
            Progress(name, self.phase.epochs, steps, step),
        ]
        if self.tensorboard.projector_every is not None:
            callbacks.append(self._projector())
        if self.tensorboard.profile:
            folder = self.workdir / "logs" / name / "training"
            callbacks.append(Profile(folder, self.tensorboard.profile))
        if name == "train" and self.config.select == "best":
            callbacks.append(BestCheckpoint(BestWeights(self.workdir / "checkpoints", name)))
        return callbacks

    def _examples(self, first_step: int) -> ExampleImages:
        shown, _ = subset(self.data.train, min(SHOWN, len(self.data.train)), seed=0)
        return ExampleImages(
            self.workdir / "logs" / self.phase.name,
            shown,
            self.augment,
            self.views,
            self.config.seed,
            self.attack,
            first_step,
        )

    def _projector(self) -> Projector:
        # Half as many as at the end: TensorBoard opens with the largest set of points.
        batches, rows = self._batches(POINTS // 4)
        return Projector(
            self.workdir / "logs" / "projector",
            self.phase.name,
            self.tensorboard.projector_every,
            self.phase.epochs,
            batches=batches,
            ids=rows,
            class_names=self.data.class_names,
            attack=self.attack,
        )

    def _batches(self, count: int):
        """Batches of class-balanced validation images, and their places in the split."""
        split = self.data.validation
        watched, rows = subset(split, min(count, len(split)), seed=0)
        size = min(self.config.batch_size, len(watched))
        return build.evaluation_batches(watched, batch_size=size), rows
