"""One phase of training: where it goes on, its batches, and the callbacks around the loop."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable

import tensorflow as tf

from anchor_tf import distribution
from anchor_tf.callbacks.checkpoints import Checkpoints, Interval
from anchor_tf.callbacks.divergence_watch import DivergenceWatch
from anchor_tf.callbacks.epoch_clock import EpochClock
from anchor_tf.callbacks.validation_attack import ValidationAttack
from anchor_tf.checkpoints.best import BestWeights
from anchor_tf.checkpoints.store import CheckpointStore
from anchor_tf.config import TrainConfig
from anchor_tf.distribution import Place
from anchor_tf.interruption import Interruption
from anchor_tf.methods.base import Method
from anchor_tf.phase import Phase, optimizer, phase_seed
from anchor_tf.training_loop import TrainingLoop
from anchor_tf.watching import TensorBoard, Watching
from pipelines import build
from pipelines.data import ImageData
from pipelines.splits import steps_per_epoch

DEFAULT_INTERVAL = Interval()


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


PLAIN = TensorBoard()


def run(
    method: Method,
    data: ImageData,
    augment,
    phase: Phase,
    config: TrainConfig,
    workdir: pathlib.Path,
    place: Place | None = None,
    interval: Interval = DEFAULT_INTERVAL,
    interruption: Interruption | None = None,
    tensorboard: TensorBoard = PLAIN,
) -> None:
    """Trains a method for one phase, or continues where its newest checkpoint stands.

    Leaves the method with the weights of the last epoch, or their average if it keeps one.

    Args:
        method: not yet compiled, built in the place's scope.
        data: train split to learn from, validation split to watch.
        augment: what `pipelines.augment.build` returns.
        phase: what to do.
        config: batch size, seed and the interval of validation.
        workdir: where checkpoints, logs and history.csv go.
        place: devices and compiler; one device without XLA by default.
        interval: when to save.
        interruption: where a signal that stops the run is noticed, if anywhere.
        tensorboard: what else to show.

    Raises:
        StoppedError: by a signal, after saving.
        DivergedError: a loss or gradient was not finite.
    """
    place = place or Place(tf.distribute.get_strategy())
    steps = steps_per_epoch(data.train, config.batch_size)
    with place.strategy.scope():
        method.compile(optimizer=optimizer(phase, steps))
        method.optimizer.build(method.trainable_variables)
    store = CheckpointStore(workdir / "checkpoints" / phase.name, interval.keep, place.chief)
    position = _restored(method, store, place)
    if position is None:
        position = Position()
    elif place.chief:
        print(f"resumed: phase={phase.name} step={position.step}", flush=True)
    if position.closed_epochs < phase.epochs:
        with interruption.steps() if interruption else contextlib.nullcontext():
            _Run(
                method,
                data,
                augment,
                phase,
                config,
                workdir,
                place,
                interval,
                interruption,
                tensorboard,
            ).go_on(store, position)
    if method.average is not None:
        method.average.adopt()


def take_best(method: Method, phase: Phase, workdir: pathlib.Path) -> str:
    """Gives a trained method the weights of the phase's best epoch on the validation split.

    Returns:
        A sentence that says which epoch that is.

    Raises:
        UserError: the files that hold them are missing or damaged.
    """
    facts = BestWeights(workdir / "checkpoints", phase.name).restore(method.classifier_weights)
    return (
        f"{phase.name}: keeping epoch {int(facts['epoch'])}, PGD accuracy {facts['robust']:.1%} "
        "on the validation split"
    )


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
class _Run:
    """The epochs that are left; see `run`."""

    method: Method
    data: ImageData
    augment: Callable
    phase: Phase
    config: TrainConfig
    workdir: pathlib.Path
    place: Place
    interval: Interval
    interruption: Interruption | None
    tensorboard: TensorBoard

    @property
    def steps(self) -> int:
        """An epoch's."""
        return steps_per_epoch(self.data.train, self.config.batch_size)

    @property
    def seed(self) -> int:
        """Of the phase's order and augmentations."""
        return phase_seed(self.phase.name, self.config.seed)

    def go_on(self, store: CheckpointStore, position: Position) -> None:
        """Takes the steps that are left."""

        def batches(replicas):
            return build.training_batches(
                self.data.train,
                batch_size=self.config.batch_size,
                seed=self.seed,
                augment=self.augment,
                views=self.method.views,
                epochs=self.phase.epochs,
                first_step=position.step,
                replicas=replicas,
            )

        loop = TrainingLoop(self.method, self.place.strategy, self.place.jit_step)
        loop.run(
            batches,
            self.steps,
            self.phase.epochs,
            self._callbacks(store, position),
            position.step,
            position.closed_epochs,
        )

    def _callbacks(self, store: CheckpointStore, position: Position) -> list:
        clock = EpochClock(position.seconds)
        watch = DivergenceWatch(
            self.phase.name, self.steps, self._indices, store, self.workdir / "diverged.json"
        )
        watching = Watching(
            self.data,
            self.augment,
            self.method.views,
            self.phase,
            self.config,
            self.workdir,
            ValidationAttack(self.config.seed),
            self.tensorboard,
        )
        written = []
        if self.place.chief:
            written = watching.written(clock, position.closed_epochs, position.step)
        checkpoints = Checkpoints(
            store,
            self.phase.name,
            steps=self.steps,
            epochs=self.phase.epochs,
            interval=self.interval,
            clock=clock,
            watch=watch,
            strategy=self.place.strategy,
            interruption=self.interruption,
        )
        return [clock, watch, watching.validation(), *written, checkpoints]

    def _indices(self, step: int):
        return build.batch_indices(self.data.train, self.config.batch_size, self.seed, step)
