"""What all phases of a training run share."""

import dataclasses
from collections.abc import Callable

from anchor_tf.callbacks.checkpoints import Interval
from anchor_tf.config import TrainConfig
from anchor_tf.devices.distribution import Place
from anchor_tf.pipelines.data import ImageData
from anchor_tf.pipelines.splits import steps_per_epoch
from anchor_tf.terminal.interruption import Interruption
from anchor_tf.workdir import Workdir


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """What is trained on, where, and what is kept and shown of it.

    Attributes:
        config: all that decides what is computed.
        data: train split to learn from, validation split to watch.
        augment: what `anchor_tf.pipelines.augment.build` returned.
        workdir: where checkpoints, logs and history.csv go.
        place: devices and compiler.
        interval: when to save.
        interruption: where a signal that stops the run is noticed.
        projector_every: epochs between two looks at the embeddings; none if None.
        profile: steps to profile.
    """

    config: TrainConfig
    data: ImageData
    augment: Callable
    workdir: Workdir
    place: Place
    interval: Interval
    interruption: Interruption
    projector_every: int | None = None
    profile: int = 0

    @property
    def steps(self) -> int:
        """An epoch's."""
        return steps_per_epoch(self.data.train, self.config.batch_size)
