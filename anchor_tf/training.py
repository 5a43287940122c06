"""One phase of training: optimizer, schedule, batches and callbacks around the loop."""

import dataclasses
import pathlib

import keras
import tensorflow as tf

from anchor_tf.callbacks import checkpoint
from anchor_tf.callbacks.history import History
from anchor_tf.callbacks.overfitting_watch import OverfittingWatch
from anchor_tf.callbacks.progress import Progress
from anchor_tf.callbacks.robust_validation import RobustValidation
from anchor_tf.callbacks.scalars import Scalars
from anchor_tf.config import TrainConfig
from anchor_tf.distribution import Place
from anchor_tf.methods.base import Method
from anchor_tf.training_loop import TrainingLoop
from pipelines import build
from pipelines.data import ImageData
from pipelines.splits import steps_per_epoch, subset

MOMENTUM = 0.9
FINETUNE_SEED = 715_827_883  # a third of the seeds away
WATCHED = 512  # validation images, class-balanced, that are attacked during training


@dataclasses.dataclass(frozen=True)
class Phase:
    """A phase of a run.

    Attributes:
        name: "train", "finetune" or "finetune_last"; logs, history and checkpoints bear it.
        epochs: number of epochs.
        learning_rate: peak of the schedule.
        warmup_epochs: epochs of linear warm-up before the cosine decay to 0.
        optimizer: "sgd" (with Nesterov momentum .9) or "adam".
    """

    name: str
    epochs: int
    learning_rate: float
    warmup_epochs: float
    optimizer: str = "sgd"


def run(
    method: Method,
    data: ImageData,
    augment,
    phase: Phase,
    config: TrainConfig,
    workdir: pathlib.Path,
    place: Place | None = None,
) -> None:
    """Trains a method for one phase, or continues where its checkpoint stands.

    Leaves the method with the weights of the last epoch, or their average if it keeps one.

    Args:
        method: not yet compiled, built in the place's scope.
        data: train split to learn from, validation split to watch.
        augment: what `pipelines.augment.build` returns.
        phase: what to do.
        config: batch size, seed and the interval of validation.
        workdir: where checkpoints, logs and history.csv go.
        place: devices and compiler; one device without XLA by default.
    """
    place = place or Place(tf.distribute.get_strategy())
    steps = steps_per_epoch(data.train, config.batch_size)
    with place.strategy.scope():
        method.compile(optimizer=optimizer(phase, steps))
        method.optimizer.build(method.trainable_variables)
    saved = workdir / "checkpoints" / f"{phase.name}.npz"
    first_epoch = 0
    if saved.exists():
        first_epoch = int(checkpoint.restore(saved, method.state)["epoch"])
        if place.chief:
            print(f"resumed: phase={phase.name} step={first_epoch * steps}", flush=True)
    if first_epoch < phase.epochs:
        _loop(method, data, augment, phase, config, workdir, place, first_epoch)
    if method.average is not None:
        method.average.adopt()


def take_best(method: Method, phase: Phase, workdir: pathlib.Path) -> str:
    """Gives a trained method the weights of the phase's best epoch on the validation split.

    Returns:
        A sentence that says which epoch that is.

    Raises:
        UserError: the file that holds them is missing or damaged.
    """
    facts = checkpoint.restore(_best(phase, workdir), method.classifier_weights)
    return (
        f"{phase.name}: keeping epoch {int(facts['epoch'])}, PGD accuracy {facts['robust']:.1%} "
        "on the validation split"
    )


def phase_seed(name: str, seed: int) -> int:
    """The seed of a phase: fine-tuning draws other numbers than the training before it."""
    return seed if name == "train" else (seed + FINETUNE_SEED) % 2**31


def _best(phase: Phase, workdir: pathlib.Path) -> pathlib.Path:
    return workdir / "checkpoints" / f"{phase.name}_best.npz"


def _loop(method, data, augment, phase, config, workdir, place, first_epoch) -> None:
    """The epochs that are left."""
    steps = steps_per_epoch(data.train, config.batch_size)

    def batches(replicas):
        return build.training_batches(
            data.train,
            batch_size=config.batch_size,
            seed=phase_seed(phase.name, config.seed),
            augment=augment,
            views=method.views,
            epochs=phase.epochs,
            first_step=first_epoch * steps,
            replicas=replicas,
        )

    watched, _ = subset(data.validation, min(WATCHED, len(data.validation)), seed=0)
    validation = build.evaluation_batches(watched, batch_size=min(config.batch_size, len(watched)))
    callbacks = [RobustValidation(validation, config.validate_every, phase.epochs, config.seed)]
    if place.chief:
        callbacks += [
            OverfittingWatch(phase.name, data.classes, workdir / "history.csv"),
            History(workdir / "history.csv", phase.name, first_epoch),
            Scalars(workdir / "logs", phase.name, steps * config.batch_size),
            Progress(phase.name, phase.epochs, steps, first_epoch),
        ]
        if phase.name == "train" and config.select == "best":
            callbacks.append(checkpoint.BestCheckpoint(_best(phase, workdir)))
        callbacks.append(checkpoint.Checkpoint(workdir / "checkpoints" / f"{phase.name}.npz"))
    loop = TrainingLoop(method, place.strategy, place.jit_step)
    loop.run(batches, steps, phase.epochs, callbacks, first_epoch)


def optimizer(phase: Phase, steps: int) -> keras.optimizers.Optimizer:
    """The phase's optimizer with linear warm-up and cosine decay to 0.

    Weight decay is not the optimizer's: `Method` adds it to the gradient.

    Args:
        phase: epochs, peak learning rate and warm-up.
        steps: steps an epoch.
    """
    total = phase.epochs * steps
    warmup = min(round(phase.warmup_epochs * steps), total - 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else phase.learning_rate,
        total - warmup,
        warmup_target=phase.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    if phase.optimizer == "adam":
        return keras.optimizers.Adam(schedule)
    return keras.optimizers.SGD(schedule, momentum=MOMENTUM, nesterov=True)
