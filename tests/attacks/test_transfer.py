import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import specs
from anchor_tf.attacks.pgd import pgd
from anchor_tf.attacks.transfer import transfer
from anchor_tf.errors import UserError
from anchor_tf.evaluation import runner
from anchor_tf.losses.classification import margin
from anchor_tf.models import model_file
from anchor_tf.threat import Threat

pytestmark = pytest.mark.numeric

LINF = Threat("linf", 0.1)
X = tf.constant(np.random.default_rng(0).random((40, 4, 4, 1)), tf.float32)


def network(seed, classes=3, side=4):
    keras.utils.set_random_seed(seed)
    images = keras.Input((side, side, 1))
    hidden = keras.layers.Dense(16, "tanh")(keras.layers.Flatten()(images))
    return keras.Model(images, keras.layers.Dense(classes)(hidden))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A network and its file."""
    path = tmp_path_factory.mktemp("other") / "model.keras"
    model = network(1)
    model_file.save(model, path)
    return model, str(path)


@pytest.fixture(scope="module")
def labels(other):
    return tf.argmax(other[0](X), axis=1, output_type=tf.int32)


@pytest.mark.parametrize("threat", [LINF, Threat("l2", 0.4)], ids=lambda threat: threat.norm)
def test_the_images_are_those_of_pgd_on_the_other_network(other, labels, threat):
    model, path = other
    found = transfer(network(2), X, labels, threat, 5, model=path, steps=4)
    np.testing.assert_allclose(found, pgd(model, X, labels, threat, 5, steps=4), atol=1e-6)
    assert np.any(np.abs(found - pgd(network(2), X, labels, threat, 5, steps=4)) > 0.01)
    raised = margin(model(found), labels).numpy().mean() - margin(model(X), labels).numpy().mean()
    assert raised > 0.01


def test_steps_and_their_size_are_those_asked_for(other, labels):
    found = transfer(network(2), X, labels, LINF, x_init=X, model=other[1], steps=1, step_size=0.02)
    inside = (X.numpy() > 0.02) & (X.numpy() < 0.98)
    np.testing.assert_allclose(np.abs(found - X)[inside], 0.02, atol=1e-6)


def test_an_evaluation_scores_this_network_not_the_other(other, labels):
    texts = (f"transfer(model={other[1]},steps=5)", "pgd(steps=5)")
    attacks = [specs.check(specs.parse(text), "anchor_tf.attacks", "attack") for text in texts]
    threat = Threat("linf", 0.3)

    def accuracies(model):
        found = runner.evaluate(model, X.numpy(), labels.numpy(), attacks, threat, batch_size=16)
        return [result.accuracy for result in found.attacks]

    own, direct = accuracies(other[0])
    assert own == direct < 0.9
    rows = tf.one_hot(labels, 3)

    def by_heart(images):
        nearest = tf.argmin(tf.reduce_sum((images[:, None] - X) ** 2, axis=[2, 3, 4]), axis=1)
        return tf.gather(rows, nearest)

    assert accuracies(by_heart)[0] > own + 0.05


@pytest.mark.parametrize(
    ("changes", "sizes"),
    [({"classes": 4}, r"\(4, 4, 1\) into 4 classes"), ({"side": 5}, r"\(5, 5, 1\) into 3")],
)
def test_a_network_for_other_images_or_classes_is_refused(tmp_path, labels, changes, sizes):
    path = str(tmp_path / "model.keras")
    model_file.save(network(0, **changes), path)
    with pytest.raises(UserError, match=f"transfer: {path} sorts images of {sizes}"):
        transfer(network(2), X, labels, LINF, model=path)


def test_a_file_that_was_written_anew_is_another_network(tmp_path, labels):
    path = tmp_path / "model.keras"
    for seed in (1, 3):
        model_file.save(network(seed), path)
        found = transfer(network(2), X, labels, LINF, model=str(path), steps=2)
        expected = pgd(network(seed), X, labels, LINF, steps=2)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_dropout_does_not_disturb_the_attack_and_the_other_may_be_a_saved_model(tmp_path, labels):
    keras.utils.set_random_seed(4)
    images = keras.Input((4, 4, 1))
    hidden = keras.layers.Dropout(0.5)(keras.layers.Flatten()(images))
    model = keras.Model(images, keras.layers.Dense(3)(hidden))
    model_file.save(model, tmp_path / "model.keras")
    signature = [tf.TensorSpec([None, 4, 4, 1], tf.float32, "images")]
    serve = tf.function(lambda images: {"logits": model(images, training=False)}, signature)
    module = tf.Module()
    module.model = model
    tf.saved_model.save(module, str(tmp_path / "export"), {"serving_default": serve})
    expected = pgd(model, X[:1], labels[:1], LINF, steps=3)
    for name in ("model.keras", "export"):
        keywords = {"model": str(tmp_path / name), "steps": 3}
        found = transfer(network(2), X[:1], labels[:1], LINF, **keywords)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_file_that_is_not_there(tmp_path, labels):
    with pytest.raises(UserError, match=r"none\.keras is missing"):
        transfer(network(2), X, labels, LINF, model=str(tmp_path / "none.keras"))


@pytest.mark.parametrize("arguments", [{"steps": 0}, {"step_size": 0.0}])
def test_arguments_out_of_range(other, labels, arguments):
    with pytest.raises(UserError, match="steps must be at least 1, step_size above 0"):
        transfer(network(2), X, labels, LINF, model=other[1], **arguments)
