"""The callbacks that watch a phase: what all workers do, and what the first one writes."""

import dataclasses

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
from anchor_tf.checkpoints.best_weights import BestWeights
from anchor_tf.methods.extras.collapse import CollapseWatch
from anchor_tf.pipelines import build
from anchor_tf.pipelines.splits import subset
from anchor_tf.tensorboard.projector import POINTS
from anchor_tf.training.phase import Phase
from anchor_tf.training.run import TrainingRun

WATCHED = 512  # validation images, class-balanced, that are attacked during training
CHOOSING = 2048  # the same, where they choose the epoch that is kept
SHOWN = 8  # training images, class-balanced, of which TensorBoard shows views and attacks


@dataclasses.dataclass(frozen=True)
class Watching:
    """What is watched of a phase.

    Attributes:
        run: the run that the phase belongs to.
        phase: its name and epochs.
        views: how many views training takes of an image.
        attack: on validation images, the same in all that is watched.
    """

    run: TrainingRun
    phase: Phase
    views: int
    attack: ValidationAttack

    def validation(self) -> RobustValidation:
        """What every worker does, as they are to agree on the epoch's logs."""
        chosen = self.run.config.select == "best"
        batches, _ = self._batches(CHOOSING if chosen else WATCHED)
        every = self.run.config.validate_every
        return RobustValidation(batches, every, self.phase.epochs, self.attack)

    def written(self, clock: EpochClock, closed_epochs: int, step: int) -> list:
        """What the first worker alone does.

        Args:
            clock: seconds of the present epoch.
            closed_epochs: epochs that are done.
            step: steps that are done.
        """
        run, steps = self.run, self.run.steps
        name, history = self.phase.name, run.workdir.history
        images, first = steps * run.config.batch_size, closed_epochs * steps
        callbacks = [
            OverfittingWatch(name, run.data.classes, history, closed_epochs, run.config.select),
            History(history, name, closed_epochs, clock),
            Scalars(run.workdir.logs, name, images, clock, first),
            self._examples(first),
            Progress(name, self.phase.epochs, steps, step),
            CollapseWatch(lambda told: print(f"warning: {told}", flush=True)),
        ]
        if run.projector_every is not None:
            callbacks.append(self._projector())
        if run.profile:
            folder = run.workdir.logs / name / "training"
            callbacks.append(Profile(folder, run.profile))
        if name == "train" and run.config.select == "best":
            callbacks.append(BestCheckpoint(BestWeights(run.workdir.checkpoints, name)))
        return callbacks

    def _examples(self, first_step: int) -> ExampleImages:
        shown, _ = subset(self.run.data.train, min(SHOWN, len(self.run.data.train)), seed=0)
        return ExampleImages(
            self.run.workdir.logs / self.phase.name,
            shown,
            self.run.augment,
            self.views,
            self.run.config.seed,
            self.attack,
            first_step,
        )

    def _projector(self) -> Projector:
        # Half as many as at the end: TensorBoard opens with the largest set of points.
        batches, rows = self._batches(POINTS // 4)
        return Projector(
            self.run.workdir.projector,
            self.phase.name,
            self.run.projector_every,
            self.phase.epochs,
            batches=batches,
            ids=rows,
            class_names=self.run.data.class_names,
            attack=self.attack,
        )

    def _batches(self, count: int):
        """Batches of class-balanced validation images, and their places in the split."""
        split = self.run.data.validation
        watched, rows = subset(split, min(count, len(split)), seed=0)
        # One device alone looks at them: what is a replica's share in training fits it.
        share = self.run.config.batch_size // self.run.place.strategy.num_replicas_in_sync
        size = min(share, len(watched))
        return build.evaluation_batches(watched, batch_size=size), rows
