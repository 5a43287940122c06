"""How often each class is taken for each other."""

import numpy as np

from anchor_tf.evaluation.trial import NOT_FINITE


def counts(
    labels: np.ndarray, predictions: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Counts answers by class.

    Args:
        labels: int [N].
        predictions: int [N]; those that are `NOT_FINITE` are no answer.
        classes: K.

    Returns:
        int64 [K, K], examples of a class (row) by their answer (column), and [K], all its examples.
    """
    table = np.zeros((classes, classes), np.int64)
    answered = predictions != NOT_FINITE
    np.add.at(table, (labels[answered], predictions[answered]), 1)
    return table, np.bincount(labels, minlength=classes)
