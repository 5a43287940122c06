"""The phases of training one after the other, up to the saved model."""

import dataclasses
import pathlib
from collections.abc import Callable

import keras

from anchor_tf import construction, distribution, model_file, precision, training
from anchor_tf.callbacks.checkpoints import Interval
from anchor_tf.config import TrainConfig
from anchor_tf.distribution import Place
from anchor_tf.interruption import Interruption
from anchor_tf.methods.base import Method
from anchor_tf.methods.finetune import finetune_of
from anchor_tf.phase import Phase, phase_seed
from anchor_tf.watching import TensorBoard
from anchor_tf.workdir import Workdir
from pipelines.data import ImageData


@dataclasses.dataclass(frozen=True)
class Phases:
    """Training and fine-tuning of a run, each continued where its checkpoint stands.

    Attributes:
        config: of the run.
        data: train and validation splits.
        augment: what `pipelines.augment.build` returned.
        workdir: the run's.
        place: devices and compiler.
        interval: when to save.
        interruption: where a signal that stops the run is noticed.
        tensorboard: what to show of each phase.
    """

    config: TrainConfig
    data: ImageData
    augment: Callable
    workdir: Workdir
    place: Place
    interval: Interval
    interruption: Interruption
    tensorboard: TensorBoard

    def run(self, method: Method) -> None:
        """Trains, fine-tunes and saves the model."""
        config, workdir = self.config, self.workdir
        phase = Phase("train", config.epochs, config.learning_rate, config.warmup_epochs)
        if config.epochs:
            self._train(method, phase)
        if config.epochs and config.select == "best":
            self._save(self._finetuned(method, "finetune_last"), workdir.last_model)
            distribution.barrier(self.place.strategy)  # the chief has written the best by now
            kept = training.take_best(method, phase, workdir.path)
            if self.place.chief:
                print(kept, flush=True)
        self._save(self._finetuned(method, "finetune"), workdir.model)

    def _finetuned(self, method: Method, name: str) -> Method:
        """The method after fine-tuning, or itself where there is none."""
        config = self.config
        mode = method.default_finetune if config.finetune == "auto" else config.finetune
        if mode == "none":
            return method
        keras.utils.set_random_seed(config.seed)
        options = {**construction.options(config), "seed": phase_seed(name, config.seed)}
        with self.place.strategy.scope():
            tuned = finetune_of(method, mode, **options)
        rate, optimizer = config.finetune_learning_rate, config.finetune_optimizer
        self._train(tuned, Phase(name, config.finetune_epochs, rate, 0.0, optimizer))
        return tuned

    def _train(self, method: Method, phase: Phase) -> None:
        training.run(
            method,
            self.data,
            self.augment,
            phase,
            self.config,
            self.workdir.path,
            self.place,
            self.interval,
            self.interruption,
            self.tensorboard,
        )

    def _save(self, method: Method, path: pathlib.Path) -> None:
        if self.place.chief:
            model_file.save(precision.in_float32(method.classifier_model()), path)
