"""What the features of a classifier tell, clean and under attack, besides its own answers.

Embeddings are backbone features divided by their L2 norm. Two small classifiers that were not
trained with the network read them, nearest neighbours and a linear probe; distances between them
say how tight the classes are and how far an attack moves an image.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from anchor_tf.evaluation.inputs import as_floats
from anchor_tf.models import model_file

NEIGHBOURS = 10
TRAINING_EXAMPLES, EXAMPLES = 5_000, 1_000  # as many as are looked at
_PROBE_ITERATIONS = 200
_PROBE_WORK = 2**30  # numbers an iteration touches; so many take half a minute on two cores


def embedder(
    model: keras.Model | Callable, batch_size: int = 128
) -> Callable[[np.ndarray], np.ndarray] | None:
    """How to get a model's embeddings, if it tells.

    Args:
        model: a Keras model whose first layer is named "backbone", or what `model_file.load` makes
            of a SavedModel with the signature `embed`.
        batch_size: images in a batch.

    Returns:
        A function, images [N, H, W, C], uint8 or floats in [0, 1] -> float64 [N, F] of norm 1;
        None for any other model.
    """
    features_fn = _features_fn(model)
    if features_fn is None:
        return None
    compiled = tf.function(features_fn, autograph=False, reduce_retracing=True)

    def embed(images: np.ndarray) -> np.ndarray:
        parts = [
            compiled(tf.constant(as_floats(images[start : start + batch_size])))
            for start in range(0, len(images), batch_size)
        ]
        return normalized(np.concatenate([part.numpy() for part in parts]))

    embed.model = model  # keeps the variables of a SavedModel alive
    return embed


def measure(
    train: np.ndarray,
    train_labels: np.ndarray,
    clean: np.ndarray,
    attacked: np.ndarray,
    labels: np.ndarray,
    targets: np.ndarray,
    k: int = NEIGHBOURS,
) -> dict[str, Any]:
    """All measures, as the report holds them.

    Args:
        train: embeddings of training images, [M, F], of norm 1.
        train_labels: integers [M].
        clean: embeddings of the images evaluated, [N, F].
        attacked: embeddings of the same images after the attack; those that are not finite count
            as answered wrongly.
        labels: integers [N].
        targets: bool [N], the images that were attacked at all; the shift is theirs alone.
        k: neighbours that vote; no more than M.

    Returns:
        "knn" and "linear_probe", accuracies "clean" and "attacked", the latter None where the
        classes are too many, which "left_out" then says; "alignment", "uniformity" and
        "intra_class_distance", "inter_class_distance" of the clean embeddings and
        "adversarial_shift", each None where there is no pair or image to take it from; the
        counts "training_examples", "examples" and "k".
    """
    k = min(k, len(train))
    finite = np.isfinite(attacked).all(axis=1)
    attacked, targets = np.where(finite[:, np.newaxis], attacked, 0.0), targets & finite
    answerable = np.where(finite, labels, -1)
    queries = [(clean, labels), (attacked, answerable)]
    probe, left_out = None, probe_left_out(train, train_labels)
    if left_out is None:
        probe = probe_accuracies(train, train_labels, queries)
    intra, inter = class_distances(clean, labels)
    return {
        "knn": {
            "clean": neighbour_accuracy(train, train_labels, clean, labels, k),
            "attacked": neighbour_accuracy(train, train_labels, attacked, answerable, k),
        },
        "linear_probe": probe and {"clean": probe[0], "attacked": probe[1]},
        **({} if left_out is None else {"left_out": left_out}),
        "alignment": alignment(clean, labels),
        "uniformity": uniformity(clean),
        "intra_class_distance": intra,
        "inter_class_distance": inter,
        "adversarial_shift": shift(clean[targets], attacked[targets]),
        "training_examples": len(train),
        "examples": len(clean),
        "k": k,
    }


def normalized(features: np.ndarray) -> np.ndarray:
    """Features [N, F] divided by their L2 norm, in float64; what is zero stays so."""
    features = features.astype(np.float64)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def neighbour_accuracy(train, train_labels, queries, labels, k: int = NEIGHBOURS) -> float:
    """Accuracy of the k nearest neighbours, which vote with their cosine similarity.

    Only classes among the neighbours can win, and the first of equal ones does.

    Args:
        train: [M, F], of norm 1.
        train_labels: integers [M].
        queries: [N, F], of norm 1.
        labels: integers [N], the truth.
        k: from 1 to M.
    """
    similarities = queries @ train.T
    nearest = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    rows = np.arange(len(queries))[:, np.newaxis]
    votes = np.zeros((len(queries), train_labels.max() + 1))
    present = np.zeros(votes.shape, bool)
    np.add.at(votes, (rows, train_labels[nearest]), similarities[rows, nearest])
    present[rows, train_labels[nearest]] = True
    answers = np.where(present, votes, -np.inf).argmax(axis=1)
    return float((answers == labels).mean())


def probe_left_out(train: np.ndarray, train_labels: np.ndarray) -> str | None:
    """Why no linear probe is trained: it would take minutes. None where it would not.

    Args:
        train: [M, F].
        train_labels: integers [M].
    """
    (examples, features), classes = train.shape, len(np.unique(train_labels))
    if examples * features * classes <= _PROBE_WORK:
        return None
    return (
        f"No linear probe was trained: with {classes:,} classes, {features:,} features and "
        f"{examples:,} images it would take minutes."
    )


def probe_accuracies(
    train, train_labels, queries: Sequence[tuple[np.ndarray, np.ndarray]]
) -> list[float]:
    """Accuracies of a logistic regression on standardised embeddings, penalty 1/2 |w|^2.

    It is trained on clean training images for at most 200 iterations of L-BFGS.

    Args:
        train: [M, F].
        train_labels: integers [M].
        queries: sets of embeddings [N, F] to classify, each with the truth, integers [N].
    """
    # Imported here: the mains are to start without scikit-learn.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(train_labels)) == 1:
        return [float((labels == train_labels[0]).mean()) for _, labels in queries]
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=_PROBE_ITERATIONS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe.fit(train, train_labels)
    return [float((probe.predict(query) == labels).mean()) for query, labels in queries]


def alignment(embeddings: np.ndarray, labels: np.ndarray) -> float | None:
    """Mean squared distance of two images of one class, over all such pairs; in [0, 4].

    Wang and Isola 2020 take it between two augmentations of an image. In supervised contrastive
    learning the other images of the class are the positives, hence here between those.

    Args:
        embeddings: [N, F], of norm 1.
        labels: integers [N].
    """
    same, _ = _pairs(labels)
    return _mean(_squared_distances(embeddings)[same])


def uniformity(embeddings: np.ndarray) -> float | None:
    """The logarithm of the mean of exp(-2 d^2) over all pairs.

    It is 0 where all embeddings are one point, and nears -4 for many in all directions of a space
    of many dimensions.

    Source: Wang and Isola 2020, "Understanding Contrastive Representation Learning through
    Alignment and Uniformity on the Hypersphere".

    Args:
        embeddings: [N, F], of norm 1.
    """
    pairs = np.triu_indices(len(embeddings), 1)
    mean = _mean(np.exp(-2.0 * _squared_distances(embeddings)[pairs]))
    return None if mean is None else float(np.log(mean))


def class_distances(
    embeddings: np.ndarray, labels: np.ndarray
) -> tuple[float | None, float | None]:
    """Mean distance of two images of one class, and of two classes; in [0, 2].

    Args:
        embeddings: [N, F], of norm 1.
        labels: integers [N].
    """
    distances = np.sqrt(_squared_distances(embeddings))
    return tuple(_mean(distances[pairs]) for pairs in _pairs(labels))


def shift(clean: np.ndarray, attacked: np.ndarray) -> float | None:
    """Mean distance of an image's embeddings before and after the attack; both [N, F]."""
    return _mean(np.linalg.norm(clean - attacked, axis=1))


def _features_fn(model) -> Callable[[tf.Tensor], tf.Tensor] | None:
    if isinstance(model, keras.Model):
        backbone = model_file.backbone_of(model)
        if backbone is None:
            return None
        return lambda images: backbone(images, training=False)
    signatures = getattr(getattr(model, "saved_model", None), "signatures", {})
    embed = signatures.get("embed")
    if embed is None or "embedding" not in embed.structured_outputs:
        return None
    takes = embed.structured_input_signature[1]
    if [one.dtype.is_floating for one in takes.values()] != [True]:
        return None
    (name,) = takes
    return lambda images: embed(**{name: images})["embedding"]


def _squared_distances(embeddings: np.ndarray) -> np.ndarray:
    """Of every row from every other, [N, N]."""
    squares = np.sum(embeddings**2, axis=1)
    return np.maximum(squares[:, None] + squares - 2.0 * embeddings @ embeddings.T, 0.0)


def _pairs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Masks [N, N] of the pairs i < j of one class, and of two."""
    same = labels[:, None] == labels
    return np.triu(same, 1), np.triu(~same, 1)


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if values.size else None
