"""Accuracy against the radius of the attack, as a figure."""

import os
import pathlib
from collections.abc import Mapping, Sequence

from anchor_tf.reports.drawing import apart, plain, save
from anchor_tf.reports.rendering import NORMS, format_epsilon


def accuracy_against_epsilon(
    path: str | os.PathLike,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    norm: str,
    examples: int,
    training_epsilon: float | None = None,
) -> pathlib.Path:
    """Draws accuracy against epsilon as a PNG file, written atomically.

    Args:
        path: the file; its folder is created as needed.
        curves: label -> (epsilon, accuracy in [0, 1]) points, epsilon rising.
        norm: "linf" or "l2".
        examples: how many examples the accuracies rest on.
        training_epsilon: radius to mark with a vertical line.

    Returns:
        The path.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for label, points in curves.items():
        radii, accuracies = zip(*points, strict=True)
        percent = [100 * accuracy for accuracy in accuracies]
        axes.plot(radii, percent, marker="o", label=plain(label), clip_on=False)
    if training_epsilon is not None:
        label = f"trained at {format_epsilon(norm, training_epsilon)}"
        axes.axvline(training_epsilon, color="0.4", linestyle="--", linewidth=1.2, label=label)
    _dress(axes, curves, norm, examples)
    return save(figure, path)


def _dress(axes, curves, norm, examples) -> None:
    """Axes, ticks at the radii measured, grid, legend and title."""
    radii = sorted({epsilon for points in curves.values() for epsilon, _ in points})
    shown = apart(radii)
    axes.set_xticks(shown, [format_epsilon(norm, radius) for radius in shown])
    axes.set_xlabel(f"{NORMS[norm]} radius epsilon, pixels in [0, 1]")
    axes.set_ylabel("accuracy, %")
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)
    axes.set_title(f"Accuracy under attack, {examples} examples")
    axes.legend()
