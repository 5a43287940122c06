"""Training in 16 bits: attacks that still move, losses in float32, a float32 model at the end."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import precision
from anchor_tf.errors import UserError
from tests.methods.method_cases import KEYS, THREAT, batches, build, element


@pytest.fixture(params=["bfloat16", "float16"])
def mixed(request):
    precision.use(request.param, replicas=1)
    yield request.param
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("text", ["anchor", "trades", "fat", "clead"])
def test_training_lowers_a_float32_loss(mixed, text):
    method = build(text, weight_decay=5e-4, average_decay=0.9)
    assert method.backbone.compute_dtype == mixed
    assert {v.dtype for v in method.trainable_variables} == {"float32"}
    batch = method._batch(element(views=method.views))
    outcome = method.outcome(batch, method.perturb(batch, THREAT, KEYS))
    assert {term.dtype for term in outcome.losses.values()} == {tf.float32}
    history = method.fit(batches(views=method.views), epochs=12, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))
    assert history["loss"][-1] < 0.95 * history["loss"][0]


def test_attacks_move_every_pixel_although_gradients_are_tiny(mixed):
    method = build("pgd_at", attack_steps=3)
    confident = [
        100 * weight if weight.ndim > 1 else weight for weight in method.classifier.get_weights()
    ]
    method.classifier.set_weights(confident)
    batch = method._batch(element(views=1))
    labels = tf.argmax(method.classify(batch.images), axis=1, output_type=tf.int32)
    moved = method.attack_cross_entropy(batch.images, labels, THREAT, KEYS)
    start = THREAT.random_start(batch.images, KEYS)
    still = np.all(moved.numpy() == start.numpy(), axis=(1, 2, 3))
    assert still.mean() < 0.3


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
