"""Cross-entropies and the Kullback-Leibler divergence, example by example in float64."""

import numpy as np


def probabilities(logits):
    """Softmax of one example's logits."""
    shifted = np.exp(np.asarray(logits, np.float64) - np.max(logits))
    return shifted / shifted.sum()


def smoothed_cross_entropy(logits, labels, smoothing):
    """- sum_k t_k log p_k with t = (1 - s) onehot(y) + s / K."""
    losses = []
    for z, y in zip(logits, labels, strict=True):
        target = np.full(len(z), smoothing / len(z))
        target[y] += 1 - smoothing
        losses.append(-np.sum(target * np.log(probabilities(z))))
    return np.array(losses)


def kl_divergence(logits, other_logits):
    """sum_k p_k log(p_k / q_k)."""
    return np.array(
        [
            sum(p * np.log(p / q) for p, q in zip(probabilities(a), probabilities(b), strict=True))
            for a, b in zip(logits, other_logits, strict=True)
        ]
    )


def boosted_cross_entropy(logits, labels):
    """-log p_y - log(1 + 1e-4 - max_{k != y} p_k)."""
    losses = []
    for z, y in zip(logits, labels, strict=True):
        p = probabilities(z)
        wrong = max(p[k] for k in range(len(p)) if k != y)
        losses.append(-np.log(p[y]) - np.log(1.0001 - wrong))
    return np.array(losses)
