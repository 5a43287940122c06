"""What each class is taken for under attack, as a figure."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from anchor_tf.reports.confusion import counts as counted
from anchor_tf.reports.drawing import plain, save


def confusion(
    path: str | os.PathLike, labels: np.ndarray, predictions: np.ndarray, names: Sequence[str]
) -> pathlib.Path:
    """Draws how often each class (row) is taken for each other (column) under attack.

    Args:
        path: the PNG file, written atomically.
        labels: int [N].
        predictions: of the model on the worst case of each example, int [N]; those that are not
            finite have no column.
        names: the name of each label.

    Returns:
        The path.
    """
    from matplotlib.figure import Figure

    counts, examples = counted(labels, predictions, len(names))
    names = [plain(name) for name in names]
    shares = 100 * counts / np.maximum(examples, 1)[:, np.newaxis]
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.add_subplot()
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    if len(names) <= 20:
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        for row, column in zip(*np.nonzero(shares >= 0.5), strict=True):
            color = "white" if shares[row, column] > 50 else "black"
            text = f"{shares[row, column]:.0f}"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    axes.set_xlabel("answer under attack")
    axes.set_ylabel("class")
    figure.colorbar(picture, label="share of the class, %")
    return save(figure, path)
