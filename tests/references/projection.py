"""Projection onto a hyperplane within a box, by bisection, in float64."""

import numpy as np


def step_to_hyperplane(point, weights, offset, norm):
    """Smallest d with <weights, point + d> = offset and 0 <= point + d <= 1; vectors [D].

    Where no such d exists, every coordinate with a weight goes to the bound on the way.
    """
    point, weights = np.asarray(point, np.float64), np.asarray(weights, np.float64)
    excess = weights @ point - offset
    direction = -np.sign(weights) * (1.0 if excess >= 0 else -1.0)
    room = np.where(direction < 0, point, 1.0 - point) * (weights != 0)
    speed = np.ones_like(weights) if norm == "linf" else np.abs(weights)

    def moved(multiplier):
        return np.minimum(multiplier * speed, room)

    if np.abs(weights) @ room <= abs(excess):
        return direction * room
    low, high = 0.0, np.max(room[weights != 0] / speed[weights != 0])
    for _ in range(100):
        middle = 0.5 * (low + high)
        if np.abs(weights) @ moved(middle) < abs(excess):
            low = middle
        else:
            high = middle
    return direction * moved(high)
