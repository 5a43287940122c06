"""One run of FAB on one image, in float64."""

import numpy as np

from tests.references.projection import step_to_hyperplane


def run(image, label, target, logits, jacobian, norm, steps, alpha_max=0.1, eta=1.05, beta=0.9):
    """The nearest misclassified iterate and its distance; (image, 1e10) if there is none.

    Args:
        image: pixels, vector [D].
        label: the true class.
        target: the class whose boundary is followed; None for the nearest in each step.
        logits: vector [D] -> [K].
        jacobian: vector [D] -> [K, D].
        norm: "linf" or "l2".
        steps: number of steps.
        alpha_max: largest bias.
        eta: overshoot.
        beta: backward step.
    """
    order = np.inf if norm == "linf" else 2
    image = np.asarray(image, np.float64)
    current, best, shortest = image.copy(), image.copy(), 1e10
    for _ in range(steps):
        scores, slopes = logits(current), jacobian(current)
        differences, normals = scores - scores[label], slopes - slopes[label]
        aim = target
        if target is None:
            lengths = np.linalg.norm(normals, 1 if norm == "linf" else 2, axis=1)
            distances = np.abs(differences) / (lengths + 1e-12)
            distances[label] = np.inf
            aim = np.argmin(distances)
        difference, normal = differences[aim], normals[aim]
        offset = normal @ current - difference
        step = step_to_hyperplane(current, normal, offset, norm)
        clean_step = step_to_hyperplane(image, normal, offset, norm)
        length = max(np.linalg.norm(step, order), 1e-8)
        clean_length = max(np.linalg.norm(clean_step, order), 1e-8)
        alpha = min(length / (length + clean_length), alpha_max)
        current = (1 - alpha) * (current + eta * step) + alpha * (image + eta * clean_step)
        current = np.clip(current, 0.0, 1.0)
        if np.argmax(logits(current)) != label:
            distance = np.linalg.norm(current - image, order)
            if distance < shortest:
                best, shortest = current.copy(), distance
            current = image + beta * (current - image)
    return best, shortest
