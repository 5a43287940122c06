"""Difference of logits ratio in float64, example by example, with its gradient."""

import numpy as np


def dlr(z, label):
    """Loss and gradient [K] of logits z [K]: (max_{i != y} z_i - z_y) / (z_(1) - z_(3) + 1e-12)."""
    others = [i for i in range(len(z)) if i != label]
    rival = max(others, key=lambda i: z[i])
    return _ratio(z, rival, label, [(1, 1.0), (3, -1.0)])


def targeted_dlr(z, label, target):
    """Loss and gradient [K]: (z_t - z_y) / (z_(1) - (z_(3) + z_(4)) / 2 + 1e-12)."""
    return _ratio(z, target, label, [(1, 1.0), (3, -0.5), (4, -0.5)])


def _ratio(z, raised, lowered, ranks):
    """(z_raised - z_lowered) over a sum of weight times the logit of that rank."""
    z = np.asarray(z, np.float64)
    order = sorted(range(len(z)), key=lambda i: -z[i])
    above = z[raised] - z[lowered]
    below = sum(weight * z[order[rank - 1]] for rank, weight in ranks) + 1e-12
    gradient = np.zeros_like(z)
    gradient[raised] += 1 / below
    gradient[lowered] -= 1 / below
    for rank, weight in ranks:
        gradient[order[rank - 1]] -= weight * above / below**2
    return above / below, gradient
