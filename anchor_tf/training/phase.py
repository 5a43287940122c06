"""A phase of a run: its length, its optimizer and its schedule."""

import dataclasses

import keras

from anchor_tf import choices

MOMENTUM = 0.9
FINETUNE_SEED = 715_827_883  # a third of the seeds away


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

    def __post_init__(self):
        choices.check("optimizer", self.optimizer, ("sgd", "adam"), "phase")


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


def phase_seed(name: str, seed: int) -> int:
    """The seed of a phase: fine-tuning draws other numbers than the training before it."""
    return seed if name == "train" else (seed + FINETUNE_SEED) % 2**31
