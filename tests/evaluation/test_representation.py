"""The measures of embeddings against loops in float64, and in cases known in closed form."""

import math

import keras
import numpy as np
import pytest

from anchor_tf import saved_model
from anchor_tf.backbones.small import small
from anchor_tf.evaluation import representation
from anchor_tf.models import model_file
from tests.references import representation as reference

pytestmark = pytest.mark.numeric


def cloud(count, seed, classes=3, dimensions=4, spread=0.8):
    """Overlapping classes on the sphere, and their labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    centres = np.random.default_rng(99).normal(size=(classes, dimensions))
    features = centres[labels] + spread * generator.normal(size=(count, dimensions))
    return representation.normalized(features), labels


@pytest.mark.parametrize("k", [1, 5, 10, 60])
def test_neighbours_against_loops(k):
    (train, train_labels), (queries, labels) = cloud(60, 0), cloud(50, 1)
    answers = reference.neighbour_answers(train, train_labels, queries, k)
    accuracy = representation.neighbour_accuracy(train, train_labels, queries, labels, k)
    assert accuracy == np.mean(answers == labels)
    assert 0.3 < accuracy < 1.0
    # Against the answers themselves it is exact; against those of other neighbours it is not.
    assert representation.neighbour_accuracy(train, train_labels, queries, answers, k) == 1.0
    others = reference.neighbour_answers(-train, train_labels, queries, k)
    assert representation.neighbour_accuracy(train, train_labels, queries, others, k) < 1.0


def test_votes_are_weighted_by_similarity():
    angles = np.array([0.1, 1.2, 1.3])
    train = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    query, labels = np.array([[1.0, 0.0]]), np.array([0, 1, 1])
    # cos .1 = .995 outweighs cos 1.2 + cos 1.3 = .63, though it is one vote against two.
    assert representation.neighbour_accuracy(train, labels, query, np.array([0]), 3) == 1.0
    # A class without a neighbour does not win over one whose neighbours point away.
    away = np.array([[-1.0, 0.0]])
    assert representation.neighbour_accuracy(train[1:], labels[1:], away, np.array([1]), 2) == 1.0


def test_probe_against_newtons_method():
    (train, train_labels), (queries, _) = cloud(60, 2), cloud(200, 3)
    answers = reference.probe_answers(train, train_labels, queries, 3)
    assert len(np.unique(answers)) == 3
    accuracies = representation.probe_accuracies(
        train, train_labels, [(queries, answers), (-queries, answers)]
    )
    # L-BFGS stops a little short of the optimum: one query on the boundary may differ.
    assert accuracies[0] >= 1.0 - 1 / 200
    assert accuracies[1] < 0.5


def test_probe_of_a_single_class():
    train, _ = cloud(5, 0)
    labels = np.array([2, 2, 1])
    assert representation.probe_accuracies(
        train, np.full(5, 2), [(train[:3], labels), (train[:3], np.array([1, 1, 2]))]
    ) == [2 / 3, 1 / 3]


def test_geometry_against_loops():
    embeddings, labels = cloud(40, 4)
    within, between = reference.distances(embeddings, labels)
    intra, inter = representation.class_distances(embeddings, labels)
    assert intra == pytest.approx(np.mean(within), rel=1e-10)
    assert inter == pytest.approx(np.mean(between), rel=1e-10)
    squares = np.mean(np.square(within))
    assert representation.alignment(embeddings, labels) == pytest.approx(squares, rel=1e-10)
    assert representation.uniformity(embeddings) == pytest.approx(
        reference.uniformity(embeddings), rel=1e-10
    )
    # What mistakes would give: the square of the mean, labels that are not theirs, exp(-d^2).
    assert abs(squares - intra**2) > 1e-2
    assert abs(representation.class_distances(embeddings, labels[::-1])[0] - intra) > 1e-2
    assert abs(
        representation.uniformity(embeddings / 2**0.5) - reference.uniformity(embeddings)
    ) > (1e-2)


def test_closed_forms():
    opposite = np.array([[1.0, 0.0], [-1.0, 0.0]])
    assert representation.uniformity(opposite) == pytest.approx(-8.0)
    assert representation.uniformity(np.repeat(opposite[:1], 5, axis=0)) == pytest.approx(0.0)
    square = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    labels = np.array([0, 0, 1, 1])
    assert representation.class_distances(square, labels) == pytest.approx((0.0, math.sqrt(2)))
    assert representation.alignment(square, np.array([0, 1, 0, 1])) == pytest.approx(2.0)
    assert representation.shift(square, square[::-1]) == pytest.approx(math.sqrt(2))


def test_nothing_to_measure_is_none():
    one = np.array([[1.0, 0.0]])
    assert representation.class_distances(one, np.array([0])) == (None, None)
    assert representation.uniformity(one) is None
    assert representation.shift(one[:0], one[:0]) is None


def test_measure_holds_everything():
    (train, train_labels), (clean, labels) = cloud(60, 0), cloud(50, 1)
    attacked = np.where(labels[:, None] == 0, -clean, clean)
    targets = labels == 0
    found = representation.measure(train, train_labels, clean, attacked, labels, targets)
    assert found["adversarial_shift"] == pytest.approx(2.0)
    assert found["knn"]["attacked"] < found["knn"]["clean"]
    assert found["linear_probe"]["attacked"] < found["linear_probe"]["clean"]
    assert (found["training_examples"], found["examples"], found["k"]) == (60, 50, 10)
    few = representation.measure(train[:4], train_labels[:4], clean, clean, labels, targets)
    assert (few["k"], few["adversarial_shift"]) == (4, 0.0)
    assert few["knn"]["clean"] == few["knn"]["attacked"]


def test_a_probe_of_very_many_classes_is_left_out(monkeypatch):
    (train, train_labels), (clean, labels) = cloud(60, 0), cloud(50, 1)
    arguments = (train, train_labels, clean, clean, labels, np.ones(50, bool))
    work = train.size * len(np.unique(train_labels))
    monkeypatch.setattr(representation, "_PROBE_WORK", work)
    whole = representation.measure(*arguments)
    monkeypatch.setattr(representation, "_PROBE_WORK", work - 1)
    monkeypatch.setattr(representation, "probe_accuracies", None)
    found = representation.measure(*arguments)
    assert found.pop("linear_probe") is None
    assert "3 classes" in found.pop("left_out")
    assert whole.pop("linear_probe")["clean"] > 0.5
    assert found == whole


@pytest.mark.parametrize(
    ("classes", "features", "left_out"),
    [(10, 640, False), (100, 2048, False), (100, 512, False), (200, 640, False), (2000, 512, True)],
)
def test_which_probes_are_left_out(classes, features, left_out):
    train = np.broadcast_to(np.zeros(1), (5_000, features))
    labels = np.arange(5_000) % classes
    assert (representation.probe_left_out(train, labels) is not None) == left_out


def test_embeddings_that_are_not_finite_count_as_wrong():
    (train, train_labels), (clean, labels) = cloud(60, 0), cloud(50, 1)
    every = np.ones(50, bool)
    whole = representation.measure(train, train_labels, clean, clean, labels, every)
    attacked = clean.copy()
    attacked[::2] = np.nan
    found = representation.measure(train, train_labels, clean, attacked, labels, every)
    rest = representation.measure(
        train, train_labels, clean[1::2], clean[1::2], labels[1::2], every[1::2]
    )
    for name in ("knn", "linear_probe"):
        assert found[name]["clean"] == whole[name]["clean"]
        assert found[name]["attacked"] == pytest.approx(rest[name]["clean"] / 2)
    assert found["adversarial_shift"] == 0.0


def test_embeddings_of_models(network, images, tmp_path):
    backbone = small((6, 6, 1), [0.5], [0.25], width=2)
    inputs = keras.Input((6, 6, 1), name="images")
    model = keras.Model(inputs, keras.layers.Dense(4)(backbone(inputs)))
    features = backbone(images / np.float32(255.0), training=False).numpy().astype(np.float64)
    expected = features / np.linalg.norm(features, axis=1, keepdims=True)
    embed = representation.embedder(model, batch_size=40)
    for given in (images, images / np.float32(255.0)):
        np.testing.assert_allclose(embed(given), expected, atol=1e-6)
    assert np.abs(embed(255 - images) - expected).max() > 1e-2
    folder = saved_model.export(model, tmp_path, image_shape=(6, 6, 1))
    served = representation.embedder(model_file.load(folder))
    np.testing.assert_allclose(served(images), expected, atol=1e-5)
    assert representation.embedder(network) is None
    assert representation.embedder(lambda x: x) is None


def test_a_dead_embedding_stays_zero():
    features = np.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(representation.normalized(features), [[0.0, 0.0], [0.6, 0.8]])
