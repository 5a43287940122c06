"""Training in 16 bits: attacks that still move, losses in float32, a float32 model at the end."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.callbacks import validation_attack
from anchor_tf.devices import onednn, precision
from anchor_tf.errors import UserError
from anchor_tf.methods.interface import Batch
from tests.methods.method_cases import KEYS, THREAT, batches, build, element
from tests.slow_cases import slow_but

pytestmark = pytest.mark.numeric


@pytest.fixture(params=["bfloat16", "float16"])
def mixed(request):
    if request.param == "bfloat16" and onednn.fastest_precision() != "bfloat16":
        pytest.skip("oneDNN cannot convolve in bfloat16 on this processor")
    precision.use(request.param, replicas=1)
    yield request.param
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("text", slow_but(["anchor"], ["anchor", "trades", "fat", "clead"]))
def test_training_lowers_a_float32_loss(mixed, text):
    method = build(text, weight_decay=5e-4, average_decay=0.9)
    assert method.backbone.compute_dtype == mixed
    assert {v.dtype for v in method.trainable_variables} == {"float32"}
    batch = Batch.of(element(views=method.views), method.views)
    outcome = method.outcome(batch, method.perturb(batch, THREAT, KEYS))
    assert {term.dtype for term in outcome.losses.values()} == {tf.float32}
    history = method.fit(batches(views=method.views), epochs=12, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))
    assert history["loss"][-1] < 0.95 * history["loss"][0]


def confident():
    """A method whose gradients at the pixels underflow in float16, and a batch as it sees it."""
    method = build("pgd_at", attack_steps=3)
    weights = [70 * w if w.ndim > 1 else w for w in method.classifier.get_weights()]
    method.classifier.set_weights(weights)
    batch = Batch.of(element(views=1), method.views)
    return method, batch, tf.argmax(method.classify(batch.images), axis=1, output_type=tf.int32)


def moved_pixels(attacked, images, keys):
    assert np.all(np.isfinite(attacked))
    return np.mean(attacked != THREAT.random_start(images, keys))


def test_attacks_move_every_pixel_although_gradients_are_tiny(mixed):
    method, batch, labels = confident()
    attacked = method.attack_cross_entropy(batch.images, labels, THREAT, KEYS)
    assert moved_pixels(attacked, batch.images, KEYS) > 0.95


def test_so_does_the_attack_that_watches(mixed, monkeypatch):
    monkeypatch.setattr(validation_attack, "STEPS", 3)  # an odd number leads no pixel back
    method, batch, labels = confident()
    attack = validation_attack.ValidationAttack(0)
    _, attacked, _ = attack(method, batch.images, labels, batch.index)
    keys = keyed_random.example_keys(0, 0, batch.index)
    keys = keyed_random.fold(keyed_random.fold(keys, "ce"), 0)
    assert moved_pixels(attacked, batch.images, keys) > 0.95


def test_a_backbone_of_another_precision_is_made_of_this_one(mixed):
    backbone = build("pgd_at").backbone
    images = element()["images"]
    single = precision.in_float32(backbone)
    again = precision.as_set(single)
    policies = {layer.dtype_policy.name for layer in again._flatten_layers()}
    assert policies == {f"mixed_{mixed}"}
    np.testing.assert_array_equal(again(images), backbone(images))
    assert single(images).dtype == tf.float32


def test_the_kept_model_is_float32_and_computes_the_same(mixed):
    method = build("pgd_at")
    method.fit(batches(views=1), epochs=5, verbose=0)
    model = precision.in_float32(method.classifier_model())
    policies = {layer.dtype_policy.name for layer in model._flatten_layers()}
    assert policies == {"float32"}
    images = element()["images"]
    tolerance = {"bfloat16": 0.1, "float16": 0.02}[mixed]
    np.testing.assert_allclose(model(images), method.classify(images), atol=tolerance)
    for one, two in zip(model.get_weights(), method.classifier_model().get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_float16_on_several_replicas_is_refused():
    with pytest.raises(UserError, match="one device only"):
        precision.use("float16", replicas=2)
    assert keras.config.dtype_policy().name == "float32"
