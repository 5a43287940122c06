"""What the mains do with a trained model: attack it, draw the curve, write the report."""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from anchor_tf import specs
from anchor_tf.evaluation import curve, plots, rendering, report, runner
from anchor_tf.threat import Threat
from pipelines.data import ImageData
from pipelines.splits import subset

BATCH_SIZE = 128
CURVE_ATTACK = "pgd(steps=20)"
CURVE_EXAMPLES = 500


def assess(
    model: keras.Model,
    data: ImageData,
    threats: Sequence[Threat],
    attacks: Sequence[specs.Spec],
    folder: pathlib.Path,
    *,
    dataset: str,
    seed: int,
    examples: int | None,
    batch_size: int | None,
    training_epsilon: float | None,
    save_examples: str | None = None,
    facts: dict[str, Any],
) -> dict[str, Any]:
    """Evaluates a model on the test split, writes report and plot, and prints the table.

    Args:
        model: images -> logits.
        data: holds the test split and the class names.
        threats: the first is the report's main one; several make a sweep.
        attacks: checked specs.
        folder: where report.json, report.md and plots/ go.
        dataset: its spec, for the report.
        seed: of the attacks' random starts and of the choice of examples.
        examples: test images to use, class-balanced; all by default.
        batch_size: images a batch.
        training_epsilon: radius to mark in the plot.
        save_examples: .npz file for the first threat's adversarial examples.
        facts: further entries of the report.

    Returns:
        The report.
    """
    split, indices = data.test, np.arange(len(data.test))
    if examples is not None:
        split, indices = subset(data.test, examples, seed)
    batch_size = min(batch_size or BATCH_SIZE, len(split))
    shared = {"batch_size": batch_size, "seed": seed}
    evaluations = [
        runner.evaluate(
            model,
            split.images,
            split.labels,
            attacks,
            threat,
            indices=indices,
            progress=_progress,
            keep_examples=save_examples is not None and threat is threats[0],
            **shared,
        )
        for threat in threats
    ]
    spec = specs.check_list(CURVE_ATTACK, "anchor_tf.attacks", "attack")[0]
    drawn, places = split, np.arange(len(split))
    if len(split) > CURVE_EXAMPLES:
        drawn, places = subset(split, CURVE_EXAMPLES, seed)
    points = curve.accuracy_curve(
        model, drawn.images, drawn.labels, spec, threats[0], indices=indices[places], **shared
    )
    plots.accuracy_against_epsilon(
        folder / "plots" / "accuracy_against_epsilon.png",
        {CURVE_ATTACK: points},
        norm=threats[0].norm,
        examples=len(drawn),
        training_epsilon=training_epsilon,
    )
    result = report.build(
        evaluations,
        dataset=dataset,
        split="test",
        seed=seed,
        class_names=data.class_names,
        curve=(CURVE_ATTACK, points),
        extra=facts,
    )
    report.write(result, folder)
    if save_examples is not None:
        report.save_examples(save_examples, evaluations[0], split.images)
    print(rendering.table(result), flush=True)
    return result


def _progress(attack: str, done: int, total: int, robust: int) -> None:
    if sys.stdout.isatty():
        end = "\n" if done == total else ""
        print(
            f"\r\033[K{attack}  {done}/{total}  {robust / done:.1%} withstood", end=end, flush=True
        )
    elif done == total:
        print(f"{attack}  {done}/{total}  {robust / done:.1%} withstood", flush=True)
