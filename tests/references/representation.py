"""Measures of embeddings as loops in float64, straight from their definitions."""

import itertools
import math

import numpy as np


def neighbour_answers(train, train_labels, queries, k):
    """The class whose members among the k most similar have the largest summed similarity."""
    answers = []
    for query in np.asarray(queries, np.float64):
        similarities = [float(query @ row) for row in np.asarray(train, np.float64)]
        nearest = sorted(range(len(train)), key=lambda j: -similarities[j])[:k]
        votes = {}
        for j in nearest:
            votes[int(train_labels[j])] = votes.get(int(train_labels[j]), 0.0) + similarities[j]
        answers.append(max(sorted(votes), key=votes.get))
    return np.array(answers)


def probe_answers(train, train_labels, queries, classes):
    """Softmax regression, summed cross-entropy + 1/2 |w|^2, by Newton's method to its optimum."""
    train, queries = np.asarray(train, np.float64), np.asarray(queries, np.float64)
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    x = np.hstack([(train - mean) / deviation, np.ones((len(train), 1))])
    weights = np.zeros(x.shape[1] * classes)
    # The intercept is free; a trace of a penalty fixes what adding a constant to all leaves open.
    penalty = np.repeat([1.0] * (x.shape[1] - 1) + [1e-9], classes)
    for _ in range(50):
        gradient, hessian = penalty * weights, np.diag(penalty)
        for row, label in zip(x, train_labels, strict=True):
            scores = row @ weights.reshape(-1, classes)
            share = np.exp(scores - scores.max())
            share /= share.sum()
            gradient += np.outer(row, share - np.eye(classes)[label]).ravel()
            curvature = np.diag(share) - np.outer(share, share)
            hessian = hessian + np.kron(np.outer(row, row), curvature)
        weights = weights - np.linalg.solve(hessian, gradient)
    scores = np.hstack([(queries - mean) / deviation, np.ones((len(queries), 1))])
    return (scores @ weights.reshape(-1, classes)).argmax(axis=1)


def distances(embeddings, labels):
    """Euclidean distances of all pairs: (those within a class, those between classes)."""
    within, between = [], []
    for i, j in itertools.combinations(range(len(embeddings)), 2):
        squares = [(float(a) - float(b)) ** 2 for a, b in zip(*embeddings[[i, j]], strict=True)]
        (within if labels[i] == labels[j] else between).append(math.sqrt(sum(squares)))
    return within, between


def uniformity(embeddings):
    """Wang and Isola 2020, t = 2."""
    within, between = distances(embeddings, np.zeros(len(embeddings)))
    return math.log(sum(math.exp(-2 * d * d) for d in within + between) / len(within + between))
