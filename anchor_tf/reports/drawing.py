"""What the figures of reports and studies share: their files, and how they are written."""

import os
import pathlib
from collections.abc import Sequence

from anchor_tf.files.atomic import replacing

EPSILON_PLOT = "plots/accuracy_against_epsilon.png"
EXAMPLES_PLOT = "plots/adversarial_examples.png"
CONFUSION_PLOT = "plots/confusion_under_attack.png"


def save(figure, path: str | os.PathLike) -> pathlib.Path:
    """Writes a matplotlib figure as a PNG file, which appears whole; returns its path."""
    # Imported here: figures alone need it. No pyplot: its state and display are not wanted.
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with replacing(path) as file:
        FigureCanvasAgg(figure).print_png(file)
    return pathlib.Path(path)


def plain(name: str) -> str:
    """A name as matplotlib shows it: between two dollar signs it would read a formula."""
    return name.replace("$", r"\$")


def apart(positions: Sequence[float]) -> list[float]:
    """Leaves out positions whose labels would run into each other: a twelfth of the axis is needed.

    Args:
        positions: along an axis, ascending, at least one.

    Returns:
        The first, and each that is far enough from the one kept before it.
    """
    kept = [positions[0]]
    for position in positions[1:]:
        if position - kept[-1] >= (positions[-1] - positions[0]) / 12:
            kept.append(position)
    return kept
