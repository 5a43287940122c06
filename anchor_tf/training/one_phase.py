"""One phase of training: where it goes on, its batches, and the callbacks around the loop."""

import dataclasses

from anchor_tf.callbacks.checkpoints import Checkpoints
from anchor_tf.callbacks.divergence_watch import DivergenceWatch
from anchor_tf.callbacks.epoch_clock import EpochClock
from anchor_tf.callbacks.validation_attack import ValidationAttack
from anchor_tf.checkpoints.best_weights import BestWeights
from anchor_tf.checkpoints.store import CheckpointStore
from anchor_tf.devices import distribution
from anchor_tf.devices.distribution import Place
from anchor_tf.methods.base import Method
from anchor_tf.pipelines import build
from anchor_tf.training.loop import TrainingLoop
from anchor_tf.training.phase import Phase, optimizer, phase_seed
from anchor_tf.training.run import TrainingRun
from anchor_tf.training.watching import Watching
from anchor_tf.workdir import Workdir


@dataclasses.dataclass(frozen=True)
class Position:
    """Where a phase goes on.

    Attributes:
        step: steps that are done.
        closed_epochs: epochs that are done, their validation and their rows included.
        seconds: what the steps of the epoch under way have taken so far.
    """

    step: int = 0
    closed_epochs: int = 0
    seconds: float = 0.0


def train(method: Method, phase: Phase, run: TrainingRun) -> None:
    """Trains a method for one phase, or continues where its newest checkpoint stands.

    Leaves the method with the weights of the last epoch, or their average if it keeps one.

    Args:
        method: built in the place's scope; not yet compiled, or by `check`.
        phase: what to do.
        run: the run that the phase belongs to.

    Raises:
        StoppedError: by a signal, after saving.
        DivergedError: a loss or gradient was not finite.
    """
    place, store = run.place, _store(phase, run)
    _compile(method, phase, run)
    position = _restored(method, store, place)
    if position is None:
        position = Position()
    elif place.chief:
        print(f"resumed: phase={phase.name} step={position.step}", flush=True)
    if position.closed_epochs < phase.epochs:
        with run.interruption.steps():
            _Epochs(method, phase, run).go_on(store, position)
    if method.average is not None:
        method.average.adopt()


def check(method: Method, phase: Phase, run: TrainingRun) -> None:
    """Checks that a method can go on from what is saved of a phase; changes no file.

    Args:
        method: not yet compiled, built in the place's scope; leaves it compiled for the phase.
        phase: what it would do.
        run: the run that the phase belongs to.

    Raises:
        UserError: what is saved belongs to another model.
    """
    _compile(method, phase, run)
    _store(phase, run).check(method.resumable)
    if run.config.select == "best":
        BestWeights(run.workdir.checkpoints, phase.name).check(method.classifier_weights)


def take_best(method: Method, phase: Phase, workdir: Workdir) -> str:
    """Gives a trained method the weights of the phase's best epoch on the validation split.

    Returns:
        A sentence that says which epoch that is.

    Raises:
        UserError: the files that hold them are missing or damaged.
    """
    facts = BestWeights(workdir.checkpoints, phase.name).restore(method.classifier_weights)
    return (
        f"{phase.name}: keeping epoch {int(facts['epoch'])}, PGD accuracy {facts['robust']:.1%} "
        "on the validation split"
    )


def _compile(method: Method, phase: Phase, run: TrainingRun) -> None:
    """Gives a method the phase's optimizer, unless it has it."""
    if method.compiled:
        return
    with run.place.strategy.scope():
        method.compile(optimizer=optimizer(phase, run.steps))
        method.optimizer.build(method.trainable_variables)


def _store(phase: Phase, run: TrainingRun) -> CheckpointStore:
    folder = run.workdir.checkpoints / phase.name
    return CheckpointStore(folder, run.interval.keep, run.place.chief)


def _restored(method: Method, store: CheckpointStore, place: Place) -> Position | None:
    """Puts the newest whole checkpoint back; None if there is none."""
    if not place.chief:
        distribution.barrier(place.strategy)  # the first worker has set damaged ones aside
    facts = store.restore(method.resumable)
    if place.chief:
        distribution.barrier(place.strategy)
    if facts is None:
        return None
    return Position(int(facts["step"]), int(facts["closed_epochs"]), facts["seconds"])


@dataclasses.dataclass(frozen=True)
class _Epochs:
    """The epochs of a phase that are left; see `train`."""

    method: Method
    phase: Phase
    run: TrainingRun

    @property
    def seed(self) -> int:
        """Of the phase's order and augmentations."""
        return phase_seed(self.phase.name, self.run.config.seed)

    def go_on(self, store: CheckpointStore, position: Position) -> None:
        """Takes the steps that are left."""
        run = self.run

        def batches(replicas):
            return build.training_batches(
                run.data.train,
                batch_size=run.config.batch_size,
                seed=self.seed,
                augment=run.augment,
                views=self.method.views,
                epochs=self.phase.epochs,
                first_step=position.step,
                replicas=replicas,
            )

        loop = TrainingLoop(self.method, run.place.strategy, run.place.jit_step)
        loop.run(
            batches,
            run.steps,
            self.phase.epochs,
            self._callbacks(store, position),
            position.step,
            position.closed_epochs,
        )

    def _callbacks(self, store: CheckpointStore, position: Position) -> list:
        run = self.run
        clock = EpochClock(position.seconds)
        watch = DivergenceWatch(
            self.phase.name, run.steps, self._indices, store, run.workdir.diverged
        )
        watching = Watching(run, self.phase, self.method.views, ValidationAttack(run.config.seed))
        written = []
        if run.place.chief:
            written = watching.written(clock, position.closed_epochs, position.step)
        checkpoints = Checkpoints(
            store,
            self.phase.name,
            steps=run.steps,
            epochs=self.phase.epochs,
            interval=run.interval,
            clock=clock,
            watch=watch,
            strategy=run.place.strategy,
            interruption=run.interruption,
        )
        return [clock, watch, watching.validation(), *written, checkpoints]

    def _indices(self, step: int):
        run = self.run
        return build.batch_indices(run.data.train, run.config.batch_size, self.seed, step)
