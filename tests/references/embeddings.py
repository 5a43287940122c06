"""InfoNCE and the pairwise margin, as loops over pairs in float64."""

import numpy as np


def info_nce(anchors, positives, negatives, ids, negative_ids, temperature):
    """-log( e^{z.z+/tau} / (e^{z.z+/tau} + sum_j e^{z.z_j-/tau}) ) of each anchor."""
    losses = []
    for z, positive, own in zip(anchors, positives, ids, strict=True):
        pulled = np.exp(z @ positive / temperature)
        pushed = sum(
            np.exp(z @ negative / temperature)
            for negative, other in zip(negatives, negative_ids, strict=True)
            if other != own
        )
        losses.append(-np.log(pulled / (pulled + pushed)))
    return np.array(losses)


def pair_margin(z, labels, margin):
    """Mean over j != i of d^2 within a class and max(0, margin - d)^2 across classes."""
    z = np.asarray(z, np.float64)
    losses = []
    for i in range(len(z)):
        terms = []
        for j in range(len(z)):
            if i == j:
                continue
            distance = np.linalg.norm(z[i] - z[j])
            same = labels[i] == labels[j]
            terms.append(distance**2 if same else max(0.0, margin - distance) ** 2)
        losses.append(np.mean(terms))
    return np.array(losses)
