"""Images, perturbations and adversarial images side by side."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from anchor_tf.evaluation.trial import NOT_FINITE
from anchor_tf.reports.drawing import plain, save

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
        titles = [plain(title) for title in titles]
        for cell, pixels, title in zip(
            row, (images[place], stretched, adversarial[place]), titles, strict=True
        ):
            cell.imshow(pixels.squeeze(), cmap="gray", vmin=0.0, vmax=1.0)
            cell.set_title(title, fontsize=9)
    return save(figure, path)


def _grid(rows: int):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 1.5 * rows), layout="constrained")
    axes = figure.subplots(rows, 3, squeeze=False)
    for cell in axes.flat:
        cell.set_axis_off()
    return figure, axes
