"""The plots that a report shows."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from anchor_tf.evaluation.inputs import as_floats
from anchor_tf.reports import confusion_plot, drawing, epsilon_plot, examples_plot


def draw(
    folder: pathlib.Path,
    evaluation,
    images: np.ndarray,
    class_names: Sequence[str],
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    curve_examples: int,
    training_epsilon: float | None,
) -> None:
    """Draws accuracy against epsilon, attacked images, and what their classes are taken for.

    Args:
        folder: of the report, which names the files.
        evaluation: an `Evaluation` that kept adversarial examples, some of which are drawn.
        images: those that it attacked, [N, H, W, C], uint8 or in [0, 1].
        class_names: the name of each label.
        curves: attack -> points of epsilon and accuracy.
        curve_examples: how many images the curves rest on.
        training_epsilon: radius to mark, if any.
    """
    epsilon_plot.accuracy_against_epsilon(
        folder / drawing.EPSILON_PLOT,
        curves,
        norm=evaluation.norm,
        examples=curve_examples,
        training_epsilon=training_epsilon,
    )
    labels, predictions, rows = evaluation.labels, evaluation.predictions, evaluation.kept
    examples_plot.examples(
        folder / drawing.EXAMPLES_PLOT,
        as_floats(images[rows]),
        evaluation.adversarial,
        labels[rows],
        predictions[rows],
        class_names,
    )
    confusion_plot.confusion(folder / drawing.CONFUSION_PLOT, labels, predictions, class_names)
