"""Images, perturbations and adversarial images side by side, and the confusion under attack."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from anchor_tf.evaluation.confusion import counts as counted
from anchor_tf.evaluation.trial import NOT_FINITE
from anchor_tf.files.atomic import replacing

_ROWS = 8


def examples(
    path: str | os.PathLike,
    images: np.ndarray,
    adversarial: np.ndarray,
    labels: np.ndarray,
    predictions: np.ndarray,
    class_names: Sequence[str],
) -> pathlib.Path:
    """Draws up to eight broken images: clean, perturbation stretched to the full range, attacked.

    Args:
        path: the PNG file, written atomically.
        images: clean, float32 [N, H, W, C] in [0, 1].
        adversarial: the worst case of each, like images.
        labels: int [N].
        predictions: of the model on the adversarial images, int [N].
        class_names: the name of each label.

    Returns:
        The path.
    """
    shown = np.flatnonzero((predictions != labels) & (images != adversarial).any(axis=(1, 2, 3)))
    shown = shown[:: max(1, len(shown) // _ROWS)][:_ROWS]
    figure, axes = _grid(max(1, len(shown)))
    for row, place in zip(axes, shown, strict=False):
        delta = adversarial[place] - images[place]
        stretched = 0.5 + delta / (2 * np.abs(delta).max())
        answer = predictions[place]
        answer = "not finite" if answer == NOT_FINITE else class_names[answer]
        titles = (class_names[labels[place]], f"times {0.5 / np.abs(delta).max():.0f}", answer)
        titles = [_plain(title) for title in titles]
        for cell, pixels, title in zip(
            row, (images[place], stretched, adversarial[place]), titles, strict=True
        ):
            cell.imshow(pixels.squeeze(), cmap="gray", vmin=0.0, vmax=1.0)
            cell.set_title(title, fontsize=9)
    return _write(figure, path)


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
    names = [_plain(name) for name in names]
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
    return _write(figure, path)


def _plain(name: str) -> str:
    """A name as matplotlib shows it: between two dollar signs it would read a formula."""
    return name.replace("$", r"\$")


def _grid(rows: int):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 1.5 * rows), layout="constrained")
    axes = figure.subplots(rows, 3, squeeze=False)
    for cell in axes.flat:
        cell.set_axis_off()
    return figure, axes


def _write(figure, path) -> pathlib.Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with replacing(path) as file:
        FigureCanvasAgg(figure).print_png(file)
    return pathlib.Path(path)
