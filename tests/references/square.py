"""The Square attack's schedule and moves on one image [H, W, C], in float64 and by slices."""

import math

import numpy as np


def share(query, initial):
    """The share of the image in the window of a query, 0 being the first."""
    for limit, divisor in (
        (8000, 512),
        (6000, 256),
        (4000, 128),
        (2000, 64),
        (1000, 32),
        (500, 16),
        (200, 8),
        (50, 4),
        (10, 2),
    ):
        if query > limit:
            return initial / divisor
    return initial


def side(query, initial, height, width, norm):
    """Rows of the window of a query."""
    rounded = round(math.sqrt(share(query, initial) * height * width))
    if norm == "linf":
        return max(rounded, 1)
    rounded = max(rounded, 3)
    return rounded if rounded % 2 else rounded + 1


def window(draws, size, height, width):
    """Slices of the window whose place two uniform numbers give."""
    top, left = int(draws[0] * (height - size)), int(draws[1] * (width - size))
    return slice(top, top + size), slice(left, left + size)


def signs(draws):
    """-1 or 1 from uniform numbers."""
    return np.where(np.asarray(draws) < 0.5, -1.0, 1.0)


def stripes(image, epsilon, draws):
    """The start in L-inf, from uniform numbers [W * C]."""
    _, width, channels = image.shape
    return np.clip(image + epsilon * signs(draws).reshape(1, width, channels), 0.0, 1.0)


def proposal_linf(image, best, epsilon, size, draws):
    """The image to try, from uniform numbers: row, column and a sign for each channel."""
    new = best.astype(np.float64)
    rows, columns = window(draws, size, *image.shape[:2])
    new[rows, columns] += 2 * epsilon * signs(draws[2:])
    return np.clip(np.clip(new, image - epsilon, image + epsilon), 0.0, 1.0)


def half_bump(height, width):
    """Concentric squares of sides 1, 3, 5, ... and weights 1, 1/4, 1/9, ..., of unit norm."""
    bump = np.zeros((height, width))
    centre = height // 2, width // 2
    for radius in range(max(height // 2, width // 2) + 1):
        for row in range(height):
            for column in range(width):
                if abs(row - centre[0]) <= radius and abs(column - centre[1]) <= radius:
                    bump[row, column] += 1 / (radius + 1) ** 2
    return bump / np.linalg.norm(bump) if height else bump


def bump(size, lying):
    """Two half bumps of opposite sign, of unit norm together."""
    whole = np.zeros((size, size))
    whole[: size // 2] = half_bump(size // 2, size)
    whole[size // 2 :] = -half_bump(size - size // 2, size)
    whole /= np.linalg.norm(whole)
    return whole.T if lying else whole


def tiles(image, epsilon, draws):
    """The start in L2; draws [rows, columns, 1 + C] of a grid that begins at the offset."""
    height, width, _ = image.shape
    size = min(height, width) // 5
    delta = np.zeros(image.shape)
    for row in range(draws.shape[0]):
        for column in range(draws.shape[1]):
            top = (height - 5 * size) // 2 + row * size
            left = (width - 5 * size) // 2 + column * size
            shape = bump(size, draws[row, column, 0] >= 0.5)[..., None]
            sign = signs(draws[row, column, 1:])
            delta[top : top + size, left : left + size] += shape * sign
    return np.clip(image + epsilon * delta / np.linalg.norm(delta), 0.0, 1.0)


def proposal_l2(image, best, epsilon, size, draws):
    """The image to try; draws: two corners, whether the bump lies, a sign for each channel."""
    image, best = image.astype(np.float64), best.astype(np.float64)
    height, width, channels = image.shape
    delta = best - image
    first, second = window(draws, size, height, width), window(draws[2:], size, height, width)
    union = np.zeros((height, width, 1))
    union[first] = union[second] = 1.0
    mass = np.sum((delta * union) ** 2)
    lost = max(epsilon**2 - np.sum(delta**2), 0.0) / channels
    new = np.zeros((size, size, channels))
    for channel, sign in enumerate(signs(draws[5:])):
        old = delta[first][..., channel]
        new[..., channel] = sign * bump(size, draws[4] >= 0.5)
        new[..., channel] += old / (np.linalg.norm(old) + 1e-12)
        new[..., channel] *= math.sqrt(lost + mass) / np.linalg.norm(new[..., channel])
    delta[second] = 0.0
    delta[first] = new
    return np.clip(image + epsilon * delta / (np.linalg.norm(delta) + 1e-12), 0.0, 1.0)
