"""The hardness-weighted supervised contrastive loss, as triple loops in float64."""

import numpy as np


def supervised_contrastive(z, labels, temperature, beta=0.0, positives=None):
    """Loss [N] of rows z [N, D] with labels [N], straight from the definition."""
    z = np.asarray(z, np.float64)
    count = len(z)
    losses = np.zeros(count)
    for i in range(count):
        others = [a for a in range(count) if a != i]
        same = [p for p in others if labels[p] == labels[i]]
        if positives is not None:
            same = sorted(same, key=lambda p: z[i] @ z[p])[:positives]
        if not same:
            continue
        largest = max(z[i] @ z[a] for a in others) / temperature
        denominator = sum(np.exp(z[i] @ z[a] / temperature - largest) for a in others)
        log_denominator = largest + np.log(denominator)
        easiest = min(z[i] @ z[q] for q in same) if beta >= 0 else max(z[i] @ z[q] for q in same)
        weight_sum = sum(np.exp(-beta * (z[i] @ z[q] - easiest)) for q in same)
        for p in same:
            weight = len(same) * np.exp(-beta * (z[i] @ z[p] - easiest)) / weight_sum
            losses[i] -= weight * (z[i] @ z[p] / temperature - log_denominator) / len(same)
    return losses


def gradient(z, labels, temperature, beta=0.0, positives=None):
    """Gradient [N, D] of the summed loss; the weights and the choice of positives are constants."""
    z = np.asarray(z, np.float64)
    result = np.zeros_like(z)
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        same = [p for p in others if labels[p] == labels[i]]
        if positives is not None:
            same = sorted(same, key=lambda p: z[i] @ z[p])[:positives]
        if not same:
            continue
        logits = np.array([z[i] @ z[a] for a in others]) / temperature
        share = np.exp(logits - logits.max())
        share /= share.sum()
        hardness = np.array([-beta * (z[i] @ z[p]) for p in same])
        weight = np.exp(hardness - hardness.max())
        weight /= weight.sum()
        for a, s in zip(others, share, strict=True):
            result[i] += s * z[a] / temperature
            result[a] += s * z[i] / temperature
        for p, w in zip(same, weight, strict=True):
            result[i] -= w * z[p] / temperature
            result[p] -= w * z[i] / temperature
    return result
