"""A method in a .keras file: what it was, what it answers, and how it goes on."""

import keras
import numpy as np
import pytest

from anchor_tf.errors import UserError
from anchor_tf.methods.anchor import Anchor
from anchor_tf.methods.ce import CE
from anchor_tf.methods.finetune import finetune_of
from anchor_tf.models import model_file
from anchor_tf.threat import Threat
from tests.methods.method_cases import batches, build, element, weights
from tests.methods.test_backbone import mine, norms
from tests.methods.test_methods import METHODS


def through_a_file(method, folder):
    method.save(folder / "method.keras")
    return keras.models.load_model(folder / "method.keras")


@pytest.mark.parametrize("text", METHODS)
def test_the_configuration_makes_the_same_method(text):
    method = build(text, seed=3, label_smoothing=0.1, average_decay=0.5, name="mine")
    config = method.get_config()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(method))
    assert type(again) is type(method)
    assert again.get_config() == config
    assert again.threat == method.threat
    assert (again.name, again.seed, again.average.decay) == ("mine", 3, 0.5)
    assert again.loss_terms == method.loss_terms
    assert [v.shape for v in again.state[: len(again.variables)]] == [
        v.shape for v in again.variables
    ]
    assert config["threat"] == {"norm": "linf", "epsilon": 0.1, "low": 0.0, "high": 1.0}
    nested = [k for k, v in config.items() if isinstance(v, dict)]
    assert sorted(nested) == ["backbone", "dtype", "threat"]


OPTIONS = {"average_decay": 0.9, "on_divergence": "skip", "weight_decay": 5e-4, "clip_norm": 1.0}


@pytest.mark.parametrize(
    ("text", "options"),
    [("anchor(positives=2,views=3)", OPTIONS), ("clead", {}), ("pgd_at", {}), ("ce", {})],
)
def test_a_loaded_method_answers_the_same_and_takes_the_same_steps(text, options, tmp_path):
    method = build(text, **options)
    method.fit(batches(2, views=method.views), epochs=1, verbose=0)
    loaded = through_a_file(method, tmp_path)
    images = element()["images"]
    np.testing.assert_array_equal(loaded(images), method(images))
    answers = [one.predict(images, verbose=0) for one in (method, loaded)]
    np.testing.assert_array_equal(*answers)
    for one in (method, loaded):
        one.fit(batches(2, views=method.views), epochs=1, verbose=0)
    for old, new in zip(method.state, loaded.state, strict=True):
        np.testing.assert_array_equal(old, new)
    assert int(loaded.optimizer.iterations.numpy()) == 4


def test_frozen_layers_and_a_frozen_backbone_stay_so(tmp_path):
    backbone = mine()
    norms(backbone)
    method = Anchor(backbone, 4, Threat("l2", 0.5, high=2.0), attack_steps=1)
    tuned = finetune_of(method, "slf")
    for one in (method, tuned):
        loaded = through_a_file(one, tmp_path)
        flags = [layer.trainable for layer in backbone._flatten_layers()]
        assert [layer.trainable for layer in loaded.backbone._flatten_layers()] == flags
        assert len(loaded.trainable_variables) == len(one.trainable_variables)
        assert loaded.backbone.name == "mine"
        assert loaded.threat == method.threat
        for old, new in zip(weights(one), weights(loaded), strict=True):
            np.testing.assert_array_equal(old, new)


def sequential():
    layers = [keras.layers.Flatten(), keras.layers.Dense(5, trainable=False), keras.layers.ReLU()]
    return keras.Sequential([keras.Input((8, 8, 1)), *layers])


def nested():
    images = keras.Input((8, 8, 1))
    return keras.Model(images, keras.layers.Dropout(0.1)(mine()(images)))


@pytest.mark.parametrize("backbone", [sequential, nested], ids=["sequential", "nested"])
def test_a_backbone_of_any_kind(backbone, tmp_path):
    method = CE(backbone(), 4, Threat("linf", 0.1))
    loaded = through_a_file(method, tmp_path)
    images = element()["images"]
    np.testing.assert_array_equal(loaded(images), method(images))
    assert len(loaded.trainable_variables) == len(method.trainable_variables)
    twin = method.classifier_model()
    np.testing.assert_allclose(twin(images), method(images), rtol=1e-6)


@keras.saving.register_keras_serializable("tests")
class Weighted(CE):
    """A user's own method, whose arguments need not be keywords."""

    def __init__(self, backbone, classes, threat, weight=1.0, *, kind="plain", **setup):
        super().__init__(backbone, classes, threat, **setup)
        self.weight, self.kind = weight, kind


def test_a_method_of_ones_own(tmp_path):
    method = Weighted(mine(), 4, Threat("linf", 0.1), 0.25, seed=7)
    loaded = through_a_file(method, tmp_path)
    assert (loaded.weight, loaded.kind, loaded.seed) == (0.25, "plain", 7)
    assert type(loaded) is Weighted


def test_evaluation_wants_the_classifier_alone(tmp_path):
    build("ce").save(tmp_path / "method.keras")
    with pytest.raises(UserError, match="save its classifier_model"):
        model_file.load(tmp_path / "method.keras")


def test_without_compilation(tmp_path):
    method = build("trades")
    method.save(tmp_path / "method.keras")
    loaded = keras.models.load_model(tmp_path / "method.keras", compile=False)
    assert not loaded.compiled
    np.testing.assert_array_equal(loaded(element()["images"]), method(element()["images"]))
