"""The phases of training one after the other, up to the saved model."""

import pathlib

import keras

from anchor_tf.devices import distribution, precision
from anchor_tf.methods.base import Method
from anchor_tf.methods.finetune import finetune_of, mode_of
from anchor_tf.models import model_file
from anchor_tf.training import construction, one_phase
from anchor_tf.training.phase import Phase, phase_seed
from anchor_tf.training.run import TrainingRun


def check(method: Method, run: TrainingRun) -> None:
    """Checks that the run can go on from what is saved, before anything in its folder moves.

    Fine-tuning is left out: a longer training begins it anew.

    Args:
        method: see `train`.
        run: see `train`.

    Raises:
        UserError: what is saved belongs to another model.
    """
    if run.config.epochs:
        one_phase.check(method, _first_phase(run), run)


def train(method: Method, run: TrainingRun) -> None:
    """Trains, fine-tunes and saves the model, continuing each phase where its checkpoint stands.

    Args:
        method: of the run's configuration, built in the place's scope.
        run: whose folder is a workdir.
    """
    config, workdir = run.config, run.workdir
    phase = _first_phase(run)
    if config.epochs:
        one_phase.train(method, phase, run)
    if config.epochs and config.select == "best":
        _save(_finetuned(method, "finetune_last", run), workdir.last_model, run)
        distribution.barrier(run.place.strategy)  # the chief has written the best by now
        kept = one_phase.take_best(method, phase, workdir)
        if run.place.chief:
            print(kept, flush=True)
    _save(_finetuned(method, "finetune", run), workdir.model, run)


def _first_phase(run: TrainingRun) -> Phase:
    config = run.config
    return Phase("train", config.epochs, config.learning_rate, config.warmup_epochs)


def _finetuned(method: Method, name: str, run: TrainingRun) -> Method:
    """The method after fine-tuning, or itself where there is none."""
    config = run.config
    mode = mode_of(method, config.finetune)
    if mode == "none":
        return method
    keras.utils.set_random_seed(config.seed)
    options = {**construction.options(config), "seed": phase_seed(name, config.seed)}
    with run.place.strategy.scope():
        tuned = finetune_of(method, mode, **options)
    rate, optimizer = config.finetune_learning_rate, config.finetune_optimizer
    one_phase.train(tuned, Phase(name, config.finetune_epochs, rate, 0.0, optimizer), run)
    return tuned


def _save(method: Method, path: pathlib.Path, run: TrainingRun) -> None:
    if run.place.chief:
        model_file.save(precision.in_float32(method.classifier_model()), path)
