"""The losses in Keras: as their functions, in `compile`, and after a round trip."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import anchor_tf
from anchor_tf.errors import UserError
from anchor_tf.losses.keras_losses import BoostedCrossEntropy, PairMargin, SupervisedContrastive
from tests.references import supcon as reference

pytestmark = pytest.mark.numeric

CASES = [
    SupervisedContrastive(temperature=0.2, beta=1.5),
    SupervisedContrastive(positives=2, reduction="sum"),
    PairMargin(margin=0.7),
    BoostedCrossEntropy(name="boosted"),
]


def batch():
    generator = np.random.default_rng(0)
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 0], np.int32)
    return labels, generator.normal(size=(8, 5)).astype(np.float32)


def test_embeddings_are_normalised_first():
    labels, embeddings = batch()
    z = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    expected = reference.supervised_contrastive(z.astype(np.float64), labels, 0.2, beta=1.5)
    loss = SupervisedContrastive(temperature=0.2, beta=1.5, reduction="none")
    np.testing.assert_allclose(loss(labels, embeddings), expected, rtol=2e-5)
    np.testing.assert_allclose(loss(labels[:, np.newaxis], 3.0 * embeddings), expected, rtol=2e-5)
    mean = SupervisedContrastive(temperature=0.2, beta=1.5)(labels, embeddings)
    np.testing.assert_allclose(mean, expected.mean(), rtol=2e-5)


@pytest.mark.parametrize("loss", CASES, ids=lambda loss: type(loss).__name__)
def test_a_round_trip_changes_nothing(loss):
    labels, embeddings = batch()
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert float(again(labels, embeddings)) == float(loss(labels, embeddings))


def test_a_saved_model_keeps_its_loss(tmp_path):
    labels, images = batch()
    model = keras.Sequential([keras.Input([5]), keras.layers.Dense(3)])
    model.compile("sgd", loss=SupervisedContrastive(beta=2.0))
    first = model.fit(images, labels, epochs=5, batch_size=8, verbose=0).history["loss"]
    assert first[-1] < first[0]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.loss.beta == 2.0
    assert loaded.evaluate(images, labels, batch_size=8, verbose=0) == pytest.approx(
        model.evaluate(images, labels, batch_size=8, verbose=0)
    )


def test_the_package_names_them():
    assert anchor_tf.SupervisedContrastive is SupervisedContrastive
    assert {"Anchor", "autoattack", "resnet", "Threat", "PairMargin"} <= set(dir(anchor_tf))
    with pytest.raises(AttributeError, match="no attribute 'Ancor'"):
        anchor_tf.Ancor  # noqa: B018


LABELS = {
    "dates": (20_230_001 + np.arange(8) // 2, np.int64),
    "dates of 32 bits": (20_230_001 + np.arange(8) // 2, np.int32),
    "beyond float32": (2**24 + np.arange(8) // 2, np.int64),
    "beyond int32": (2**40 + np.arange(8) // 2, np.int64),
    "whose lower 32 bits are equal": ((np.arange(8) // 2) << 32, np.int64),
    "unsigned": (2**31 + np.arange(8) // 2, np.uint32),
    "small": (np.arange(8) // 2, np.uint8),
    "floats": (np.arange(8) // 2, np.float32),
}


WAYS = ["call", "column", "weights"]


@pytest.mark.parametrize(
    ("kind", "way"), [(k, w) for k in LABELS for w in WAYS] + [("beyond int32", "compile")]
)
@pytest.mark.parametrize("loss", CASES[:3], ids=["supcon", "hardest", "margin"])
def test_labels_are_exact(kind, loss, way):
    values, dtype = LABELS[kind]
    given, (_, embeddings) = values.astype(dtype), batch()
    small = (np.arange(8) // 2).astype(np.int32)
    weights = np.linspace(0.1, 1, 8, dtype=np.float32) if way == "weights" else None
    expected = float(loss(small, embeddings, weights))
    if way == "compile":
        model = keras.Sequential([keras.Input([5]), keras.layers.Identity()])
        model.compile("sgd", loss=loss)
        found = model.evaluate(embeddings, given, batch_size=8, verbose=0)
    else:
        given = given[:, np.newaxis] if way == "column" else given
        found = float(loss(given, embeddings, weights))
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_that_may_have_lost_digits_are_refused(dtype):
    labels, embeddings = (20_230_001 + np.arange(8)).astype(dtype), batch()[1]
    with pytest.raises(UserError, match="give integers"):
        SupervisedContrastive()(labels, embeddings)
    model = keras.Sequential([keras.Input([5]), keras.layers.Identity()])
    model.compile("sgd", loss=SupervisedContrastive())
    with pytest.raises(tf.errors.InvalidArgumentError, match="give integers"):
        model.evaluate(embeddings, labels, batch_size=8, verbose=0)


def test_one_hot_rows_are_refused():
    with pytest.raises(UserError, match="class numbers"):
        SupervisedContrastive()(np.eye(8, dtype=np.int32), batch()[1])


@pytest.mark.parametrize(
    "arguments", [{"temperature": 0.0}, {"temperature": -1.0}, {"positives": 0}]
)
def test_arguments_out_of_range(arguments):
    with pytest.raises(UserError, match="temperature"):
        SupervisedContrastive(**arguments)
    with pytest.raises(UserError, match="margin"):
        PairMargin(margin=2.5)
