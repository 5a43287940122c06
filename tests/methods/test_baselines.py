"""TRADES, MART and FAT: what each does beyond the common step."""

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.attacks.ascent import gradient_of
from anchor_tf.errors import UserError
from anchor_tf.losses.classification import margin
from anchor_tf.losses.divergence import kl_divergence
from anchor_tf.methods.interface import Batch
from tests.methods.method_cases import KEYS, THREAT, batches, build, element
from tests.references import classification as reference
from tests.slow_cases import slow_but

pytestmark = pytest.mark.numeric


def trained(text, **setup):
    method = build(text, **setup)
    method.fit(batches(views=method.views), epochs=30, verbose=0)
    return method


def test_trades_begins_where_the_divergence_has_a_gradient():
    method = trained("trades", attack_steps=3)
    batch = Batch.of(element(views=1), method.views)
    clean = method.classify(batch.images)

    def divergence(images):
        return kl_divergence(clean, method.classify(images))

    at_the_image = tf.reduce_max(tf.abs(gradient_of(divergence, batch.images)))
    adversarial = method.perturb(batch, THREAT, KEYS)
    noisy = batch.images + 1e-3 * tf.random.stateless_normal(batch.images.shape, [0, 0])
    near_it = tf.reduce_max(tf.abs(gradient_of(divergence, noisy)))
    assert near_it > 10 * at_the_image
    assert divergence(adversarial).numpy().mean() > 20 * divergence(noisy).numpy().mean()
    assert THREAT.distance(adversarial, batch.images).numpy().max() <= 0.1 + 1e-6


@pytest.mark.parametrize(
    ("text", "terms"), [("trades(beta=3)", "trades"), ("mart(beta=3)", "mart"), ("fat", "fat")]
)
def test_losses_equal_the_reference(text, terms):
    method = trained(text)
    batch = Batch.of(element(views=1), method.views)
    adversarial = tf.clip_by_value(batch.images + 0.1, 0.0, 1.0)
    outcome = method.outcome(batch, adversarial)
    labels = batch.labels.numpy()
    clean = outcome.logits.get("clean")
    robust = outcome.logits["robust"].numpy()
    if terms == "fat":
        expected = {"adversarial_cross_entropy": _entropy(robust, labels)}
    else:
        divergence = 3 * reference.kl_divergence(clean, robust)
        confidence = np.array(
            [reference.probabilities(z)[y] for z, y in zip(clean, labels, strict=True)]
        )
        expected = {
            "trades": {"cross_entropy": _entropy(clean, labels), "divergence": divergence},
            "mart": {
                "boosted_cross_entropy": reference.boosted_cross_entropy(robust, labels),
                "divergence": divergence * (1 - confidence),
            },
        }[terms]
    assert set(outcome.losses) == set(expected) == set(method.loss_terms)
    for name, values in expected.items():
        np.testing.assert_allclose(outcome.losses[name], values, rtol=1e-3, atol=1e-6)


def _entropy(logits, labels):
    return reference.smoothed_cross_entropy(np.asarray(logits), labels, 0.0)


def friendly(method, batch, steps):
    """FAT's rule, example by example: stop at a broken iterate when tau others lie behind."""
    size = 2.5 * 0.1 / steps
    results = []
    for place in range(len(batch.labels)):
        image, label = batch.images[place : place + 1], batch.labels[place : place + 1]
        current, behind = THREAT.random_start(batch.images, KEYS)[place : place + 1], 0
        for _ in range(steps):
            if margin(method.classify(current), label)[0] > 0:
                if behind == method.tau:
                    break
                behind += 1
            gradient, _ = method._gradient(current, label)
            current = THREAT.project(current + size * tf.sign(gradient), image)
        results.append(current)
    return tf.concat(results, axis=0)


@pytest.mark.parametrize("tau", slow_but([1], [0, 1, 3]))
def test_fat_stops_behind_tau_misclassified_iterates(tau):
    method = trained(f"fat(tau={tau})", attack_steps=8)
    batch = Batch.of(element(views=1), method.views)
    found = method.perturb(batch, THREAT, KEYS)
    np.testing.assert_allclose(found, friendly(method, batch, 8), atol=1e-5)


def test_fat_bears_gradients_that_overflow(monkeypatch):
    method = build("fat", attack_steps=3)
    batch = Batch.of(element(views=1), method.views)
    classify = method.classify
    monkeypatch.setattr(method, "classify", lambda images: classify(images) * 1e30 * 1e30)
    assert np.all(np.isfinite(method.perturb(batch, THREAT, KEYS)))


def test_fat_is_friendlier_than_pgd():
    method = build("ce")
    method.fit(batches(views=1), epochs=30, verbose=0)
    method = _as_fat(method)
    batch = Batch.of(element(views=1), method.views)
    friend = margin(method.classify(method.perturb(batch, THREAT, KEYS)), batch.labels).numpy()
    full = method.attack_cross_entropy(batch.images, batch.labels, THREAT, KEYS)
    foe = margin(method.classify(full), batch.labels).numpy()
    broken = foe > 0
    assert broken.sum() >= 4
    np.testing.assert_array_equal(friend > 0, broken)
    assert friend[broken].mean() < 0.9 * foe[broken].mean()


def _as_fat(trained_plainly):
    """FAT with the weights of a network that has seen no attack, so that most images fall."""
    method = build("fat(tau=0)", attack_steps=8)
    method.set_weights(trained_plainly.get_weights())
    return method


@pytest.mark.parametrize("text", ["trades(beta=-1)", "mart(beta=-1)", "fat(tau=-1)"])
def test_arguments_out_of_range(text):
    with pytest.raises(UserError, match="method"):
        build(text)


def test_fat_has_its_own_attack():
    with pytest.raises(UserError, match="training_attack"):
        build("fat", training_attack="n_fgsm")
