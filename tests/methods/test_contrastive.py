"""SupCon, margin SupCon, adversarially enhanced SupCon, RoCL and C-LEAD against their equations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.losses.classification import margin
from anchor_tf.methods.ae_supcon import unit_pixels
from anchor_tf.methods.contrastive import instance_objective
from anchor_tf.methods.interface import Batch
from tests.methods.method_cases import KEYS, THREAT, batches, build, element
from tests.references import classification, embeddings
from tests.references import supcon as reference

pytestmark = pytest.mark.numeric

INDEX = np.arange(16)


def two_views():
    first, second = element(views=1)["images"], element(views=1)["images"]
    second = tf.clip_by_value(
        second + 0.05 * tf.random.stateless_normal(second.shape, [1, 1]), 0, 1
    )
    return {**element(), "views": (first, second)}


def projections(method, views):
    """Features and projections of all views through one training-mode pass, as float64."""
    features = method.encode(tf.concat(views, axis=0), training=True)
    return method.projection_head(features).numpy().astype(np.float64)


def mean_of_views(rows, views):
    return rows.reshape(views, 16).mean(axis=0)


def moved(batch):
    return tf.clip_by_value(batch.views[0] + 0.1, 0.0, 1.0)


@pytest.mark.parametrize("text", ["supcon(temperature=0.3)", "ae_supcon(temperature=0.3)"])
def test_supcon_and_its_enhanced_form(text):
    method = build(text)
    batch = Batch.of(two_views(), method.views)
    views = list(batch.views) + [moved(batch)] * (text.startswith("ae"))
    losses = method.outcome(batch, moved(batch)).losses
    z = projections(method, views)
    rows = reference.supervised_contrastive(z, np.tile(batch.labels, len(views)), 0.3)
    np.testing.assert_allclose(losses["contrastive"], mean_of_views(rows, len(views)), rtol=1e-4)


def test_margin_supcon():
    method = build("margin_supcon(temperature=0.3,margin=1.5,margin_weight=0.5)")
    batch = Batch.of(two_views(), method.views)
    outcome = method.outcome(batch, None)
    features = method.encode(tf.concat(batch.views, axis=0), training=True)
    labels = np.tile(batch.labels, 2)
    z = projections(method, batch.views)
    entropy = classification.smoothed_cross_entropy(method.classifier(features), labels, 0.0)
    expected = {
        "cross_entropy": entropy,
        "contrastive": reference.supervised_contrastive(z, labels, 0.3),
        "margin": 0.5 * embeddings.pair_margin(z, labels, 1.5),
    }
    for name, rows in expected.items():
        np.testing.assert_allclose(outcome.losses[name], mean_of_views(rows, 2), rtol=1e-3)
    without = build("margin_supcon(margin_weight=0)")
    np.testing.assert_array_equal(without.outcome(batch, None).losses["margin"], 0.0)


def test_rocl():
    method = build("rocl(temperature=0.3,regularization=0.5)")
    batch = Batch.of(two_views(), method.views)
    losses = method.outcome(batch, moved(batch)).losses
    z = projections(method, [*batch.views, moved(batch)])
    rows = reference.supervised_contrastive(z, np.tile(INDEX, 3), 0.3)
    np.testing.assert_allclose(losses["contrastive"], mean_of_views(rows, 3), rtol=1e-4)
    _, second, attacked = np.split(z, 3)
    expected = 0.5 * embeddings.info_nce(attacked, second, second, INDEX, INDEX, 0.3)
    np.testing.assert_allclose(losses["regularization"], expected, rtol=1e-3)


@pytest.mark.parametrize("negatives", ["perturbed", "all", "paired"])
def test_clead(negatives):
    method = build(f"clead(temperature=0.3,negatives={negatives})")
    batch = Batch.of(two_views(), method.views)
    by_pgd, by_cw = moved(batch), tf.clip_by_value(batch.views[1] - 0.1, 0.0, 1.0)
    losses = method.outcome(batch, tf.concat([by_pgd, by_cw], axis=0)).losses
    anchor, pgd, cw = np.split(projections(method, [batch.views[0], by_pgd, by_cw]), 3)
    others = {"perturbed": [pgd, cw], "all": [pgd, cw, anchor], "paired": [anchor]}[negatives]
    terms = []
    for positive in (pgd, cw):
        candidates = [*others, positive] if negatives == "paired" else others
        ids = np.tile(INDEX, len(candidates))
        told_from = np.concatenate(candidates)
        terms.append(embeddings.info_nce(anchor, positive, told_from, INDEX, ids, 0.3))
    np.testing.assert_allclose(losses["contrastive"], np.mean(terms, axis=0), rtol=1e-3)


@pytest.mark.parametrize("labels", ["pseudo", "true"])
@pytest.mark.parametrize("start", [0, 1])
def test_clead_runs_both_attacks_away_from_its_labels(labels, start):
    method = build(f"clead(labels={labels},shared_view={start == 0})", attack_steps=10)
    assert method.views == start + 1
    given = two_views()
    batch = Batch.of({**given, "views": given["views"][: start + 1]}, method.views)
    both = method.perturb(batch, THREAT, KEYS)
    assert both.shape == (32, 8, 8, 1)
    images = batch.views[start]
    away_from = batch.labels if labels == "true" else tf.argmax(method.classify(images), 1)
    by_pgd, by_cw = tf.split(both, 2)
    for adversarial in (by_pgd, by_cw):
        assert THREAT.distance(adversarial, images).numpy().max() <= 0.1 + 1e-6
    before = classification.smoothed_cross_entropy(method.classify(images), away_from, 0.0)
    after = classification.smoothed_cross_entropy(method.classify(by_pgd), away_from, 0.0)
    assert after.mean() > before.mean() + 0.05
    clean = np.minimum(margin(method.classify(images), away_from), 0).mean()
    assert np.minimum(margin(method.classify(by_cw), away_from), 0).mean() > clean + 0.02
    assert not np.array_equal(by_pgd, by_cw)


def test_clead_trains_its_probe_with_its_own_optimizer():
    method = build("clead")
    method.optimizer = keras.optimizers.SGD(1e-9)
    before = [np.array(v) for v in method.classifier.get_weights()]
    method.fit(batches(), epochs=1, verbose=0)
    steps = [np.abs(a - b) for a, b in zip(method.classifier.get_weights(), before, strict=True)]
    np.testing.assert_allclose(np.median(steps[0]), 1e-4, rtol=0.05)  # Adam's first step
    kept = {id(variable) for variable in method.state}
    assert all(id(variable) in kept for variable in method.probe_optimizer.variables)


def test_clead_s_probe_leaves_out_a_step_whose_gradient_overflows():
    method = build("clead")
    method.optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    seen, apply = [], method.probe_optimizer.apply
    method.probe_optimizer.apply = lambda given, *rest: seen.append(given) or apply(given, *rest)
    variables = method.trainable_variables
    probe = {id(variable) for variable in method.classifier.trainable_variables}
    method.optimizer.build([variable for variable in variables if id(variable) not in probe])
    for overflow in (True, False):
        before = [np.array(variable) for variable in variables]
        gradients = [tf.ones(variable.shape) for variable in variables]
        if overflow:
            gradients[0] *= np.inf
        method.apply_gradients(gradients, variables)
        for variable, former in zip(variables, before, strict=True):
            if id(variable) in probe:
                assert np.array_equal(variable, former) == overflow
            assert np.all(np.isfinite(variable))
    scale = float(method.optimizer.scale_loss(1.0))
    assert scale > 1.0
    for gradient in seen[1]:  # Adam's rate would change with the loss's scale
        np.testing.assert_allclose(gradient, 1.0 / scale, rtol=1e-6)


@pytest.mark.parametrize("text", ["supcon", "ae_supcon", "rocl", "clead", "anchor(ce_weight=0)"])
def test_the_probe_teaches_the_backbone_nothing(text):
    method = build(text)
    batch = Batch.of(element(views=method.views), method.views)
    adversarial = method.perturb(batch, THREAT, KEYS)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(method.outcome(batch, adversarial).losses["probe_cross_entropy"])
    variables = [v.value for v in method.trainable_variables]
    moving = [g is not None and float(tf.norm(g)) > 0 for g in tape.gradient(loss, variables)]
    probe = {id(v) for v in method.classifier.trainable_variables}
    assert moving == [id(v) in probe for v in method.trainable_variables]


@pytest.mark.parametrize("generator", ["encoder", "input"])
def test_generators_raise_their_contrastive_loss(generator, monkeypatch):
    method = build(f"ae_supcon(generator={generator})", attack_steps=10)
    batch = Batch.of(two_views(), method.views)
    embed = method.embed if generator == "encoder" else unit_pixels
    objective = instance_objective(embed, batch.views[1], batch.index, 0.1)
    if generator == "input":

        def refuse(*_, **__):
            raise AssertionError("the network was called")

        monkeypatch.setattr(method, "encode", refuse)
    adversarial = method.perturb(batch, THREAT, KEYS)
    start = THREAT.random_start(batch.views[0], KEYS)
    assert objective(adversarial).numpy().mean() > 1.2 * objective(start).numpy().mean()
    assert THREAT.distance(adversarial, batch.views[0]).numpy().max() <= 0.1 + 1e-6


def test_unit_pixels_are_centred_and_of_unit_length():
    pixels = unit_pixels(element()["images"]).numpy()
    assert pixels.shape == (16, 64)
    np.testing.assert_allclose(pixels.mean(axis=1), 0.0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(pixels, axis=1), 1.0, rtol=1e-5)


def test_image_passes():
    assert build("ce").image_passes == 1
    assert build("pgd_at", attack_steps=7).image_passes == 8
    assert build("anchor(views=3)", attack_steps=7).image_passes == 10
    assert build("clead", attack_steps=7).image_passes == 17
    assert build("ae_supcon(generator=input)", attack_steps=7).image_passes == 3
    assert build("trades", attack_steps=7, training_attack="n_fgsm").image_passes == 3


@pytest.mark.parametrize(
    "text",
    [
        "supcon(temperature=0)", "ae_supcon(temperature=-1)", "rocl(temperature=0)",
        "rocl(regularization=-1)", "clead(temperature=0)", "margin_supcon(margin=3)",
        "margin_supcon(margin_weight=-1)", "anchor(ce_weight=0,contrastive_weight=0)",
    ],
)  # fmt: skip
def test_arguments_out_of_range(text):
    with pytest.raises(UserError, match="method"):
        build(text)
