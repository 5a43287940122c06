"""What the mains do with a trained model: attack it, draw it, and write the report."""

import dataclasses
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from anchor_tf import specs
from anchor_tf.durations import clock
from anchor_tf.evaluation import (
    curve,
    estimate,
    examples_plot,
    plots,
    rendering,
    report,
    runner,
    sanity,
)
from anchor_tf.evaluation.journal import Journal, identity
from anchor_tf.evaluation.trial import Trial
from anchor_tf.threat import Threat
from pipelines.data import ImageData, Split
from pipelines.splits import subset

BATCH_SIZE = 128
CURVE_ATTACK = "pgd(steps=20)"
CURVE_EXAMPLES = 500
SANITY_EXAMPLES = 100
WORTH_TELLING = 60.0  # seconds


@dataclasses.dataclass(frozen=True)
class Assessment:
    """What to evaluate.

    Attributes:
        dataset: its spec, for the report.
        attacks: checked specs.
        threats: the first is the report's main one; several make a sweep.
        seed: of the attacks' random starts and of the choice of examples.
        examples: test images to use, class-balanced; all if None.
        batch_size: images a batch; `BATCH_SIZE` if None.
        training_epsilon: radius to mark in the plot, if any.
        save_examples: .npz file for the first threat's adversarial examples, if any.
        facts: further entries of the report.
    """

    dataset: str
    attacks: Sequence[specs.Spec]
    threats: Sequence[Threat]
    seed: int
    examples: int | None
    batch_size: int | None
    training_epsilon: float | None
    save_examples: str | None
    facts: dict[str, Any]


def assess(
    model: keras.Model | Callable, data: ImageData, wanted: Assessment, folder: pathlib.Path
) -> None:
    """Evaluates a model on the test split, writes report and plots, and prints the table.

    A killed assessment of the same model continues after its last finished batch.

    Args:
        model: images -> logits.
        data: holds the test split and the class names.
        wanted: what to evaluate.
        folder: where report.json, report.md and plots/ go.
    """
    split, indices = data.test, np.arange(len(data.test))
    if wanted.examples is not None:
        split, indices = subset(data.test, wanted.examples, wanted.seed)
    shared = {
        "batch_size": min(wanted.batch_size or BATCH_SIZE, len(split)),
        "seed": wanted.seed,
    }
    journal = Journal(folder / "evaluation", _identity(model, split, indices, shared))
    if journal.kept:
        print(f"resumed: phase=evaluate step={journal.kept}", flush=True)
    _tell_duration(model, split, wanted, shared["batch_size"])
    evaluations = [
        runner.evaluate(
            model,
            split.images,
            split.labels,
            wanted.attacks,
            threat,
            indices=indices,
            progress=_progress,
            keep_examples=threat is wanted.threats[0],
            journal=journal,
            **shared,
        )
        for threat in wanted.threats
    ]
    points, drawn = _curve(model, split, indices, wanted, shared)
    warnings = sanity.curve_warnings(points) + _unbounded(model, split, indices, shared)
    evaluations[0] = dataclasses.replace(
        evaluations[0], warnings=(*evaluations[0].warnings, *warnings)
    )
    _draw(folder, evaluations[0], split, data.class_names, wanted, points, drawn)
    result = report.build(
        evaluations,
        dataset=wanted.dataset,
        split="test",
        seed=wanted.seed,
        class_names=data.class_names,
        curve=(CURVE_ATTACK, points),
        extra={**wanted.facts, "curve_examples": drawn},
    )
    if wanted.save_examples is not None:
        report.save_examples(wanted.save_examples, evaluations[0], split.images)
    report.write(result, folder)
    journal.clear()
    print(rendering.table(result), flush=True)
    for warning in result["warnings"]:
        print(f"warning: {warning}", flush=True)


def _identity(model, split: Split, indices: np.ndarray, shared: dict) -> str:
    """What finished batches depend on, besides attack and radius, which they are filed under."""
    weights = [np.asarray(weight) for weight in getattr(model, "weights", [])]
    return identity(*weights, split.images, split.labels, indices, shared, report.versions())


def _tell_duration(model, split: Split, wanted: Assessment, batch_size: int) -> None:
    """Says how long the attacks may take, if that is long."""
    few = Split(split.images[:batch_size], split.labels[:batch_size])
    trial = Trial(model, few.images, few.labels, batch_size=batch_size, seed=wanted.seed)
    each = estimate.seconds_an_image(trial, wanted.attacks)
    seconds = each * len(split) * len(wanted.threats)
    if seconds > WORTH_TELLING:
        print(f"this takes at most {clock(seconds)}, less the more images fall", flush=True)


def _curve(model, split: Split, indices: np.ndarray, wanted: Assessment, shared: dict):
    """Points of accuracy against epsilon for the first threat, and how many images they rest on."""
    places = np.arange(len(split))
    if len(split) > CURVE_EXAMPLES:
        split, places = subset(split, CURVE_EXAMPLES, wanted.seed)
    spec = specs.check_list(CURVE_ATTACK, "anchor_tf.attacks", "attack")[0]
    points = curve.accuracy_curve(
        model,
        split.images,
        split.labels,
        spec,
        wanted.threats[0],
        indices=indices[places],
        **shared,
    )
    return points, len(split)


def _unbounded(model, split: Split, indices: np.ndarray, shared: dict) -> list[str]:
    places = np.arange(len(split))
    if len(split) > SANITY_EXAMPLES:
        split, places = subset(split, SANITY_EXAMPLES, shared["seed"])
    trial = Trial(model, split.images, split.labels, indices=indices[places], **shared)
    return sanity.unbounded_warnings(trial, shared["seed"])


def _draw(folder, evaluation, split: Split, class_names, wanted: Assessment, points, drawn) -> None:
    plots.accuracy_against_epsilon(
        folder / rendering.PLOT,
        {CURVE_ATTACK: points},
        norm=evaluation.norm,
        examples=drawn,
        training_epsilon=wanted.training_epsilon,
    )
    images = split.images
    if images.dtype == np.uint8:
        images = images.astype(np.float32) / np.float32(255.0)
    attacked = (evaluation.adversarial, evaluation.labels, evaluation.predictions)
    examples_plot.examples(folder / rendering.EXAMPLES_PLOT, images, *attacked, class_names)
    examples_plot.confusion(folder / rendering.CONFUSION_PLOT, *attacked[1:], class_names)


def _progress(progress: runner.Progress) -> None:
    """Prints how far an attack is: on a terminal in place, elsewhere at the end."""
    finished = progress.done == progress.total and progress.round == progress.rounds
    if not (finished or sys.stdout.isatty()):
        return
    rounds = f" round {progress.round}/{progress.rounds}" if progress.rounds > 1 else ""
    line = (
        f"{progress.attack}{rounds}  {progress.done}/{progress.total} attacked  "
        f"{progress.standing} standing  {clock(progress.seconds_left)} left"
    )
    if sys.stdout.isatty():
        line = f"\r\033[K{line}"
    print(line, end="\n" if finished else "", flush=True)
