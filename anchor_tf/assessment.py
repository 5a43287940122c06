"""What the mains do with a trained model: attack it, draw it, and write the report."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from anchor_tf import specs
from anchor_tf.devices import distribution, machine
from anchor_tf.devices.distribution import Place
from anchor_tf.evaluation import curve, embedded, estimate, progress, representation, runner, sanity
from anchor_tf.evaluation.journal import Journal, identity
from anchor_tf.evaluation.trial import Trial
from anchor_tf.models import model_path
from anchor_tf.pipelines.data import ImageData, Split
from anchor_tf.pipelines.splits import subset
from anchor_tf.reports import plots, rendering, report
from anchor_tf.tensorboard import projector
from anchor_tf.terminal import console
from anchor_tf.threat import Threat

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
        batch_size: images a batch; `BATCH_SIZE` for each replica here if None.
        training_epsilon: radius to mark in the plot, if any.
        save_examples: .npz file for the first threat's adversarial examples, if any.
        facts: further entries of the report.
        split: what the test images are, for the report.
        warnings: further ones for the report, of the training for example.
        projector: folder for TensorBoard's projector, if any.
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
    split: str = "test"
    warnings: Sequence[str] = ()
    projector: pathlib.Path | None = None


def assess(
    model: keras.Model | Callable,
    data: ImageData,
    wanted: Assessment,
    folder: pathlib.Path,
    last: keras.Model | Callable | None = None,
    place: Place | None = None,
) -> None:
    """Evaluates a model on the test split, writes report, outcomes and plots, and prints the table.

    A killed assessment of the same model continues after its last finished batch.

    Args:
        model: images -> logits.
        data: holds the test split, training images for the measures of the representation, and
            the class names.
        wanted: what to evaluate.
        folder: where report.json, report.md, report.html, model_card.md, outcomes.npz and plots/
            go.
        last: the weights after the last epoch, where `model` has those that were best on the
            validation split; attacked alike under the first threat, for the report's "last".
        place: devices and compiler. Where there are several workers, all of them call this and
            share the attacks; the first does the rest.
    """
    place = place or Place(tf.distribute.get_strategy())
    split, indices = data.test, np.arange(len(data.test))
    if wanted.examples is not None:
        split, indices = subset(data.test, wanted.examples, wanted.seed)
    models = [model] if last is None else [model, last]
    trials, journal = _trials(models, split, indices, wanted, folder, place)
    known = min(representation.TRAINING_EXAMPLES, len(data.train))
    if place.chief:
        _tell_duration(trials, wanted, known)
    kept = np.sort(_looked_at(split, wanted.seed)) if wanted.save_examples is None else True
    evaluations, of_last = _attacked(trials, wanted, place, kept)
    distribution.barrier(place.strategy)  # nobody still reads what the first worker clears
    if not place.chief:
        return
    points, drawn = _curve(trials[0], split, wanted)
    warnings = sanity.curve_warnings(points, drawn) + _unbounded(trials[0], split, wanted.seed)
    names = _class_names(data, trials[0].classes)
    plots.draw(
        folder,
        evaluations[0],
        split.images,
        names,
        {CURVE_ATTACK: points},
        curve_examples=drawn,
        training_epsilon=wanted.training_epsilon,
    )
    result = report.build(
        evaluations,
        dataset=wanted.dataset,
        split=wanted.split,
        seed=wanted.seed,
        class_names=names,
        curve=(CURVE_ATTACK, points),
        representation=_represented(model, data, (split, indices), evaluations[0], names, wanted),
        last=of_last,
        warnings=[*data.warnings, *warnings, *wanted.warnings],
        extra=_facts(model, data, wanted, drawn),
    )
    if wanted.save_examples is not None:
        report.save_examples(wanted.save_examples, evaluations[0], split.images)
    report.write(result, folder, report.outcomes(evaluations[0], indices))
    journal.clear()
    warned = (f"warning: {warning}" for warning in result["warnings"])
    print(rendering.table(result), *warned, sep="\n", flush=True)


def _facts(model, data: ImageData, wanted: Assessment, drawn: int) -> dict[str, Any]:
    """Entries of the report that no attack brings forth."""
    return {
        **wanted.facts,
        "image_shape": list(data.image_shape),
        "curve_examples": drawn,
        "model_digest": getattr(model, "digest", None),
        "machine": machine.describe(),
    }


def _looked_at(split: Split, seed: int) -> np.ndarray:
    """The rows of the images that are embedded and drawn, whose attacked images are kept."""
    return subset(split, min(representation.EXAMPLES, len(split)), seed)[1]


def _attacked(trials: list[Trial], wanted: Assessment, place: Place, kept: np.ndarray | bool):
    """The evaluations of the first trial, one a threat, and that of the other if there is one.

    Of the first threat the examples `kept` are kept.
    """
    told = progress.show if place.chief else None
    evaluations = [
        runner.evaluate_trial(
            trials[0],
            wanted.attacks,
            threat,
            progress=told,
            keep_examples=threat is wanted.threats[0] and kept,
        )
        for threat in wanted.threats
    ]
    if len(trials) == 1:
        return evaluations, None
    if place.chief:
        console.tell("weights of the last epoch:")
    threat = wanted.threats[0]
    return evaluations, runner.evaluate_trial(trials[1], wanted.attacks, threat, progress=told)


def _trials(models, split: Split, indices, wanted: Assessment, folder: pathlib.Path, place: Place):
    """A trial of each model, which attacks the same images alike, and the first one's journal."""
    size = wanted.batch_size or BATCH_SIZE * distribution.replicas(place.strategy).here
    shared = {"batch_size": min(size, len(split)), "seed": wanted.seed}
    journals = [
        Journal(folder / "evaluation", _identity(model, split, indices, shared, wanted.attacks))
        for model in models
    ]
    kept = sum(journal.kept for journal in journals)
    if kept and place.chief:
        print(f"resumed: phase=evaluate step={kept}", flush=True)
    trials = [
        Trial(
            model,
            split.images,
            split.labels,
            indices=indices,
            place=place,
            journal=journal,
            **shared,
        )
        for model, journal in zip(models, journals, strict=True)
    ]
    return trials, journals[0]


def _class_names(data: ImageData, classes: int) -> tuple[str, ...]:
    """A name for each of the model's classes; it may know more than the data set has."""
    more = range(len(data.class_names), classes)
    return (*data.class_names, *(f"class {label}" for label in more))


def _identity(model, split: Split, indices: np.ndarray, shared: dict, attacks) -> str:
    """What finished batches depend on, besides attack and radius, which they are filed under."""
    others = [
        model_path.digest(model_path.check(attack.arguments["model"]))
        for attack in attacks
        if "model" in attack.arguments
    ]
    # Weights alone do not tell functions apart, and those of a SavedModel are not always known.
    weights = [np.asarray(weight) for weight in getattr(model, "weights", [])]
    told = (getattr(model, "digest", None), others, shared, report.versions())
    return identity(*weights, split.images, split.labels, indices, *told)


def _tell_duration(trials: list[Trial], wanted: Assessment, known: int) -> None:
    """Says how long all of it may take, if that is long."""
    trial = trials[0]
    work = _work(trial, wanted, len(wanted.threats) + len(trials) - 1, known)
    seconds = estimate.seconds(trial, work)
    if seconds <= WORTH_TELLING:
        return
    untold = estimate.untold(wanted.attacks, trial.classes)
    but = f", not counting {', '.join(untold)}" if untold else ""
    console.tell(
        f"this takes at most about {console.clock(seconds)} and compilation{but}, less the more "
        "images fall"
    )


def _work(trial: Trial, wanted: Assessment, runs: int, known: int) -> estimate.Work:
    """All passes of an assessment in which no image falls.

    Args:
        trial: model and images.
        wanted: what to evaluate.
        runs: how often the attacks run: once a threat, and on the last epoch's weights.
        known: training images that are embedded.
    """
    images, classes = len(trial.labels), trial.classes
    radii = [radius for radius in curve.radii(wanted.threats[0]) if radius > 0.0]
    embedded_images = known + 2 * min(representation.EXAMPLES, images)
    one_curve = estimate.work_of([_checked(CURVE_ATTACK)], classes).times(
        min(CURVE_EXAMPLES, images)
    )
    unbounded = estimate.work_of([_checked(sanity.UNBOUNDED)], classes)
    return (
        estimate.work_of(wanted.attacks, classes).times(images * runs)
        + one_curve.times(len(radii))
        + unbounded.times(min(SANITY_EXAMPLES, images))
        + estimate.Work(forwards=embedded_images)
    )


def _curve(trial: Trial, split: Split, wanted: Assessment):
    """Points of accuracy against epsilon for the first threat, and how many images they rest on."""
    part = _part(trial, split, CURVE_EXAMPLES, wanted.seed)
    return curve.accuracy_curve(part, _checked(CURVE_ATTACK), wanted.threats[0]), len(part.labels)


def _checked(attack: str) -> specs.Spec:
    return specs.check(specs.parse(attack), "anchor_tf.attacks", "attack")


def _unbounded(trial: Trial, split: Split, seed: int) -> list[str]:
    return sanity.unbounded_warnings(_part(trial, split, SANITY_EXAMPLES, seed))


def _part(trial: Trial, split: Split, count: int, seed: int) -> Trial:
    """The trial of at most so many of its images, class-balanced."""
    return trial.subset(subset(split, min(count, len(split)), seed)[1])


def _represented(model, data: ImageData, tested, evaluation, names, wanted: Assessment):
    """Measures of the embeddings, which the projector shows; None where a model tells none."""
    split, indices = tested
    known = min(representation.TRAINING_EXAMPLES, len(data.train))
    train, _ = subset(data.train, known, wanted.seed)
    rows = _looked_at(split, wanted.seed)
    size = wanted.batch_size or BATCH_SIZE
    known_images = (train.images, train.labels)
    found = embedded.embed(model, known_images, split.images, evaluation, rows, size)
    if found is None:
        return None
    if wanted.projector is not None:
        candidates = split.take(found.rows)
        _, chosen = subset(candidates, min(projector.POINTS // 2, len(candidates)), wanted.seed)
        shown = found.shown(chosen, split.images, evaluation, indices)
        projector.write(wanted.projector, "final", shown, names)
    return found.measures(evaluation)
