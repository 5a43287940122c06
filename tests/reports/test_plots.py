"""The plot is a whole PNG file of a readable size."""

import matplotlib.image
import numpy as np
import pytest

from anchor_tf.reports import confusion_plot, drawing, epsilon_plot, examples_plot


def test_png(tmp_path):
    path = tmp_path / "plots" / "accuracy_against_epsilon.png"
    curves = {"pgd(steps=20)": [(0.0, 0.95), (4 / 255, 0.7), (8 / 255, 0.4), (16 / 255, 0.1)]}
    plain = epsilon_plot.accuracy_against_epsilon(path, curves, norm="linf", examples=360)
    assert plain == path
    without = matplotlib.image.imread(path)
    assert without.shape[0] >= 400
    assert without.shape[1] >= 600
    epsilon_plot.accuracy_against_epsilon(
        path, curves, norm="linf", examples=360, training_epsilon=8 / 255
    )
    assert (matplotlib.image.imread(path) != without).any()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_names_are_no_formulas(tmp_path):
    names = ("$0_$10", "$a_b_c$", "100 %")
    labels, answers = np.array([0, 1, 2]), np.array([1, 2, 0])
    path = confusion_plot.confusion(tmp_path / "confusion.png", labels, answers, names)
    assert matplotlib.image.imread(path).shape[0] >= 400
    images = np.zeros((3, 4, 4, 1), np.float32)
    examples_plot.examples(path, images, images + 0.1, labels, answers, names)


@pytest.mark.parametrize(
    ("positions", "kept"), [([0, 1, 2, 12, 24], [0, 2, 12, 24]), ([0.5], [0.5])]
)
def test_labels_of_an_axis_stand_apart(positions, kept):
    assert drawing.apart(positions) == kept
