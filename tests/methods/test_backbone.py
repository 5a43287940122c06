"""A method trains the backbone it is given, in place, and changes nothing else of it."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import saved_model
from anchor_tf.backbones.layers import ConvolutionBatchNorm
from anchor_tf.evaluation import representation
from anchor_tf.methods.anchor import Anchor
from anchor_tf.methods.ce import CE
from anchor_tf.methods.extras.synchronization import Synchronization
from anchor_tf.methods.finetune import MODES, finetune_of
from anchor_tf.models import model_file
from tests.methods.method_cases import THREAT, batches, element


def mine(name="mine"):
    """A user's own backbone, with layers that know of synchronisation."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    tensor = keras.layers.Conv2D(4, 3, strides=2, name="first")(inputs)
    tensor = keras.layers.BatchNormalization(name="norm")(tensor)
    tensor = keras.layers.BatchNormalization(synchronized=True, name="second")(tensor)
    tensor = ConvolutionBatchNorm(4, name="both")(keras.layers.ReLU()(tensor))
    return keras.Model(inputs, keras.layers.Flatten()(tensor), name=name)


def nothing(backbone):
    del backbone


def whole(backbone):
    backbone.trainable = False


def some(backbone):
    for name in ("first", "norm", "both"):
        backbone.get_layer(name).trainable = False


def norms(backbone):
    backbone.get_layer("both").normalization.trainable = False
    backbone.get_layer("norm").trainable = False


FREEZES = {one.__name__: one for one in (nothing, whole, some, norms)}


def attributes(backbone):
    kept = ("name", "trainable", "synchronized", "momentum", "dtype_policy", "built")
    return [
        {name: getattr(layer, name, None) for name in kept} for layer in backbone._flatten_layers()
    ] + [variable.trainable for variable in backbone.variables]


def values(layer):
    return [np.array(weight) for weight in layer.get_weights()]


def moved(before, after):
    return [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]


def fitted(method):
    method.compile(optimizer=keras.optimizers.SGD(0.05))
    method.fit(batches(2, views=method.views), epochs=1, verbose=0)
    return method


@pytest.mark.parametrize(
    ("cls", "freeze"), [*((CE, freeze) for freeze in FREEZES), (Anchor, "some")]
)
def test_nothing_but_weights_and_statistics_changes(cls, freeze):
    backbone = mine()
    FREEZES[freeze](backbone)
    before, weights = attributes(backbone), values(backbone)
    method = fitted(cls(backbone, 4, THREAT, attack_steps=1))
    assert attributes(backbone) == before
    assert method.backbone is backbone
    changed = moved(weights, values(backbone))
    frozen = [not v.trainable for v in backbone.variables]
    norm = backbone.get_layer("norm")
    statistics = {id(v) for layer in (norm, backbone.get_layer("second")) for v in layer.variables}
    for variable, change, stays in zip(backbone.variables, changed, frozen, strict=True):
        if id(variable) not in statistics and "moving" not in variable.path:
            assert change != stays, variable.path
    # Frozen batch normalisation is in inference mode, and learns no statistics.
    for layer in (norm, backbone.get_layer("both").normalization):
        index = [i for i, v in enumerate(backbone.variables) if v is layer.moving_mean]
        assert changed[index[0]] == layer.trainable
    method.classifier_model()
    finetune_of(method, "slf")
    assert attributes(backbone) == before


@pytest.mark.parametrize("mode", MODES)
def test_finetuning_freezes_without_flags(mode):
    backbone = mine()
    trained = fitted(Anchor(backbone, 4, THREAT, attack_steps=1))
    before, weights = attributes(backbone), values(backbone)
    tuned = finetune_of(trained, mode, attack_steps=1)
    assert attributes(backbone) == before
    own = {id(v) for v in backbone.variables}
    trains = [id(v) in own for v in tuned.trainable_variables]
    assert any(trains) == (mode == "aff")
    assert tuned.trainable_weights == tuned.trainable_variables
    assert len(tuned.variables) == len(tuned.trainable_variables) + len(
        tuned.non_trainable_variables
    )
    fitted(tuned)
    assert attributes(backbone) == before
    assert any(moved(weights, values(backbone))) == (mode == "aff")
    assert {id(v) for v in trained.trainable_variables} >= own & {
        id(v) for v in backbone.trainable_variables
    }


@pytest.mark.parametrize("name", ["mine", "backbone", "classifier"])
def test_a_backbone_of_any_name_is_found_in_files_and_exports(name, tmp_path):
    backbone = mine(name)
    method = fitted(CE(backbone, 4, THREAT))
    images = element()["images"]
    features = method.encode(images, False).numpy()
    classifier = method.classifier_model()
    assert backbone.name == name
    assert [layer.name for layer in classifier.layers[1:]] == ["backbone", "classifier"]
    model_file.save(classifier, tmp_path / "model.keras")
    loaded = model_file.load(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images), method(images), atol=1e-6)
    found = model_file.backbone_of(loaded)
    np.testing.assert_allclose(found(images, training=False), features, atol=1e-6)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(representation.embedder(loaded)(images.numpy()), unit, atol=1e-5)
    saved_model.export(loaded, tmp_path / "export", image_shape=(8, 8, 1))
    served = tf.saved_model.load(str(tmp_path / "export" / "1")).signatures["embed"]
    np.testing.assert_allclose(served(images=images)["embedding"], unit, atol=1e-5)


def test_synchronisation_lasts_as_long_as_a_pass():
    layers = [keras.layers.BatchNormalization(synchronized=own) for own in (True, False)]
    context = Synchronization(layers, True)

    def seen():
        return [layer.synchronized for layer in layers]

    with context:
        assert seen() == [True, True]
        with context:  # another replica's thread
            pass
        assert seen() == [True, True]
    assert seen() == [True, False]
    with contextlib.suppress(RuntimeError), Synchronization(layers, False):
        assert seen() == [False, False]
        raise RuntimeError
    assert seen() == [True, False]


def test_a_frozen_layer_of_ours_stays_frozen_in_a_file():
    layer = ConvolutionBatchNorm(4)
    layer.build((None, 8, 8, 2))
    layer.trainable = False
    again = ConvolutionBatchNorm.from_config(layer.get_config())
    again.build((None, 8, 8, 2))
    assert again.trainable_variables == []
    assert not again.normalization.trainable
    assert not any(variable.trainable for variable in again.variables)
