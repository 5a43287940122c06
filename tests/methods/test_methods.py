"""What every training method owes: a step that learns, draws by key, and attacks in eval mode."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import saved_model
from anchor_tf.errors import UserError
from anchor_tf.losses.classification import cross_entropy
from anchor_tf.losses.divergence import kl_divergence
from anchor_tf.methods.anchor import Anchor
from anchor_tf.methods.ce import CE
from anchor_tf.methods.contrastive import instance_objective
from anchor_tf.methods.finetune import finetune_of
from anchor_tf.methods.interface import Batch
from anchor_tf.methods.pgd_at import PGDAT
from tests.methods.method_cases import KEYS, THREAT, backbone, batches, build, element, weights
from tests.references import classification
from tests.references import supcon as reference
from tests.slow_cases import slow_but

pytestmark = pytest.mark.numeric

METHODS = [
    "ce",
    "pgd_at",
    "anchor",
    "anchor(views=3)",
    "anchor(objective=supcon)",
    "anchor(positives=2)",
    "anchor(divergence_weight=1,objective=kl,clean_weight=1)",
    "anchor(ce_weight=0)",
    "anchor(contrastive_weight=0,shared_view=True)",
    "supcon",
    "trades",
    "mart",
    "fat",
    "margin_supcon",
    "ae_supcon",
    "ae_supcon(generator=input)",
    "rocl",
    "clead",
    "clead(negatives=all,labels=true)",
]
# One of each kind of step: plain, attacked, contrastive, and those with an attack of their own.
SOME = ["ce", "anchor", "trades", "fat", "margin_supcon", "rocl", "clead"]


@pytest.mark.parametrize("text", slow_but(SOME, METHODS))
def test_steps_lower_the_loss_and_track_every_term(text):
    method = build(text, weight_decay=5e-4)
    history = method.fit(batches(views=method.views), epochs=12, verbose=0).history
    logged = {"clean_accuracy": "accuracy"}
    assert set(history) == {logged.get(name, name) for name in method.trackers}
    assert history["loss"][-1] < 0.9 * history["loss"][0]
    terms = sum(np.array(history[name]) for name in method.loss_terms)
    np.testing.assert_allclose(history["loss"], terms, rtol=1e-5)
    # Left out: a probe that learns too slowly to show.
    learning = () if "clead" in text else method.accuracies
    for name in learning:
        accuracies = history["accuracy" if name == "clean" else f"{name}_accuracy"]
        assert accuracies[-1] >= accuracies[0]


@pytest.mark.parametrize("text", slow_but(SOME, METHODS))
def test_compiled_step_equals_eager_step(text):
    results = []
    for eagerly in (False, True):
        method = build(text)
        method.run_eagerly = eagerly
        method.fit(batches(views=method.views), epochs=1, verbose=0)
        results.append(weights(method))
    for compiled, eager in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, eager, atol=1e-3)  # sign() amplifies rounding


@pytest.mark.parametrize(
    "text", ["pgd_at", "anchor", "anchor(objective=supcon)", "trades", "mart", "rocl", "ae_supcon"]
)
def test_attack_leaves_batch_statistics_alone(text):
    method = build(text)
    batch = Batch.of(element(views=method.views), method.views)
    before = weights(method)
    keys = tf.zeros([16, 3], tf.uint32)
    adversarial = method.perturb(batch, THREAT, keys)
    for old, new in zip(before, weights(method), strict=True):
        np.testing.assert_array_equal(old, new)
    distance = THREAT.distance(adversarial, batch.views[-1]).numpy()
    assert distance.max() <= 0.1 + 1e-6
    assert distance.min() > 0.05


def test_attack_raises_the_loss():
    method = build("pgd_at", attack_steps=10)
    batch = Batch.of(element(views=1), method.views)
    adversarial = method.perturb(batch, THREAT, tf.zeros([16, 3], tf.uint32))
    clean = cross_entropy(method.classify(batch.images), batch.labels).numpy()
    attacked = cross_entropy(method.classify(adversarial), batch.labels).numpy()
    assert attacked.mean() > clean.mean() + 0.01


def test_supcon_objective_raises_the_contrastive_loss():
    method = build("anchor(objective=supcon)", attack_steps=10)
    batch = Batch.of(element(), method.views)
    adversarial = method.perturb(batch, THREAT, tf.zeros([16, 3], tf.uint32))

    def contrastive(images):
        z = tf.concat([method.embed(batch.views[0]), method.embed(images)], axis=0)
        return method.contrast(z, batch.labels, 2).numpy().mean()

    assert contrastive(adversarial) > contrastive(batch.views[1]) + 0.01


@pytest.mark.parametrize("views", [2, 3])
def test_anchor_loss_equals_the_reference(views):
    method = build(f"anchor(views={views},beta=2,temperature=0.3,ce_weight=0.5)")
    batch = Batch.of(element(), method.views)
    adversarial = tf.clip_by_value(batch.images + 0.1, 0.0, 1.0)
    losses = method.outcome(batch, adversarial).losses
    parts = [batch.views[0], adversarial, batch.images][:views]
    features = method.encode(tf.concat(parts, axis=0), training=True)
    z = method.projection_head(features).numpy()
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1.0, rtol=1e-5)
    rows = reference.supervised_contrastive(z, np.tile(batch.labels, views), 0.3, beta=2.0)
    expected = rows.reshape(views, 16).mean(axis=0)
    np.testing.assert_allclose(losses["contrastive"], expected, rtol=1e-4)
    logits = method.classifier(features)[16:32]
    expected = 0.5 * cross_entropy(logits, batch.labels)
    np.testing.assert_allclose(losses["adversarial_cross_entropy"], expected, rtol=1e-5)


def test_epsilon_ramps_up_linearly():
    method = build("anchor", epsilon_ramp_steps=10)
    ramp = [float(method.current_threat(step).epsilon) for step in (0, 4, 9, 500)]
    np.testing.assert_allclose(ramp, [0.01, 0.05, 0.1, 0.1], rtol=1e-6)
    assert build("anchor").current_threat(0).epsilon == 0.1


def test_weight_decay_is_added_to_the_gradient_of_kernels_only():
    plain, decayed = build("ce"), build("ce", weight_decay=0.5)
    before = [np.array(v) for v in plain.trainable_variables]
    for method in (plain, decayed):
        method.optimizer = keras.optimizers.SGD(0.1)
        method.fit(batches(views=1), epochs=1, verbose=0)
    for old, one, two in zip(
        before, plain.trainable_variables, decayed.trainable_variables, strict=True
    ):
        expected = np.array(one) - (0.1 * 0.5 * old if old.ndim > 1 else 0.0)
        np.testing.assert_allclose(np.array(two), expected, atol=1e-5)


@pytest.mark.parametrize("mode", ["slf", "alf", "aff"])
def test_finetuning_freezes_what_it_says(mode):
    trained = build("anchor")
    tuned = finetune_of(trained, mode, attack_steps=2)
    for old, new in zip(
        trained.classifier.get_weights(), tuned.classifier.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(old, new)
    before = [np.array(w) for w in tuned.backbone.get_weights()]
    head = [np.array(w) for w in tuned.classifier.get_weights()]
    tuned.compile(optimizer=keras.optimizers.SGD(0.1))
    tuned.fit(batches(views=1), epochs=2, verbose=0)
    moved = [
        not np.array_equal(a, b) for a, b in zip(before, tuned.backbone.get_weights(), strict=True)
    ]
    assert any(moved) == (mode == "aff")
    assert not np.array_equal(head[0], tuned.classifier.get_weights()[0])


def test_a_fresh_head_starts_anew():
    trained = build("anchor(head=fresh)")
    tuned = finetune_of(trained, "slf")
    assert not np.array_equal(
        trained.classifier.get_weights()[0], tuned.classifier.get_weights()[0]
    )


def test_the_seed_decides_the_attack():
    first, second, other = build("pgd_at"), build("pgd_at"), build("pgd_at", seed=1)
    for method in (first, second, other):
        method.fit(batches(views=1), epochs=2, verbose=0)
    for a, b in zip(weights(first), weights(second), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(
        not np.array_equal(a, b) for a, b in zip(weights(first), weights(other), strict=True)
    )


def test_plain_images_and_labels_will_do():
    data = element()
    method = Anchor(backbone(), 4, THREAT, attack_steps=1)
    method.compile(optimizer="sgd")
    history = method.fit(data["images"].numpy(), data["labels"].numpy(), batch_size=8, verbose=0)
    assert np.isfinite(history.history["loss"][0])


@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
@pytest.mark.parametrize(
    "text", slow_but(["anchor"], ["anchor", "anchor(positives=3)", "pgd_at", "ce"])
)
def test_labels_of_any_type_and_a_last_batch_that_is_smaller(text, dtype):
    method = build(text)
    images = element(40)["images"].numpy()
    labels = (np.arange(40) % 4).astype(dtype)[:, np.newaxis]
    history = method.fit(images, labels, batch_size=32, epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))


@pytest.mark.parametrize("text", slow_but(["clead"], ["anchor", "clead", "ce"]))
def test_every_kind_of_method_is_exported(text, tmp_path):
    method = build(text)
    method.fit(batches(views=method.views), epochs=1, verbose=0)
    saved_model.export(method.classifier_model(), tmp_path / "export", image_shape=(8, 8, 1))
    loaded = tf.saved_model.load(str(tmp_path / "export" / "1"))
    images = element()["images"]
    served = loaded.signatures["serving_default"](images=images)["logits"]
    np.testing.assert_allclose(served, method.classify(images), atol=1e-5)


@pytest.mark.parametrize("text", slow_but(["anchor"], METHODS))
def test_classifier_model_survives_saving(text, tmp_path):
    method = build(text)
    method.fit(batches(views=method.views), epochs=1, verbose=0)
    images = element()["images"]
    method.classifier_model().save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images), method.classify(images), atol=1e-6)
    assert [layer.name for layer in loaded.layers[1:]] == ["backbone", "classifier"]


@pytest.mark.parametrize("arguments", [{"temperature": 0.0}, {"ce_weight": -1.0}, {"positives": 0}])
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(UserError, match="method anchor"):
        Anchor(backbone(), 4, THREAT, **arguments)


def test_methods_say_how_they_are_finetuned():
    assert (CE.default_finetune, PGDAT.default_finetune, Anchor.default_finetune) == (
        "none",
        "none",
        "slf",
    )


def test_each_step_has_its_own_radius_and_random_numbers():
    method, seen = build("pgd_at", epsilon_ramp_steps=4, seed=3), []
    perturb = method.perturb

    def recorded(batch, threat, keys):
        seen.append((float(threat.epsilon), *keys[5].numpy().tolist()))
        return perturb(batch, threat, keys)

    method.perturb, method.run_eagerly = recorded, True
    method.fit(batches(5, views=1), epochs=1, verbose=0)
    expected = [(0.025 * min(step + 1, 4), 3, step, 5) for step in range(5)]
    np.testing.assert_allclose(seen, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "centre"),
    [("anchor", 1), ("anchor(objective=supcon)", 1), ("anchor(objective=kl)", 1), ("rocl", 0)],
)
def test_the_attack_rises_around_its_own_view(text, centre):
    method = build(text, attack_steps=10)
    views = [element(seed=seed)["images"] for seed in (0, 1)]
    batch = Batch.of({**element(), "views": tuple(views)}, 2)
    moved, start = method.perturb(batch, THREAT, KEYS), THREAT.random_start(views[centre], KEYS)
    assert THREAT.distance(moved, views[centre]).numpy().max() <= 0.1 + 1e-6
    raised = {
        "rocl": instance_objective(method.embed, views[1], batch.index, 0.1),
        "anchor(objective=kl)": lambda images: kl_divergence(
            method.classify(views[1]), method.classify(images)
        ),
    }.get(text)
    if raised is not None:
        assert raised(moved).numpy().mean() > 1.2 * raised(start).numpy().mean()


@pytest.mark.parametrize("text", ["trades(beta=3)", "mart(beta=3)", "anchor(divergence_weight=3)"])
def test_the_divergence_pulls_at_the_clean_prediction_too(text):
    method = build(text)
    batch = Batch.of(element(views=method.views), method.views)
    with tf.GradientTape() as tape:
        outcome = method.outcome(batch, tf.clip_by_value(batch.images + 0.3, 0.0, 1.0))
        total = tf.reduce_sum(outcome.losses["divergence"])
    clean, robust = (np.asarray(outcome.logits[name], np.float64) for name in ("clean", "robust"))

    def divergence(logits):
        found = 3 * classification.kl_divergence(logits, robust)
        if text.startswith("mart"):
            labels = batch.labels.numpy()
            found = found * [
                1 - classification.probabilities(row)[label]
                for row, label in zip(logits, labels, strict=True)
            ]
        return found.sum()

    expected, small = np.zeros_like(clean), 1e-6
    for place in np.ndindex(clean.shape):
        step = np.zeros_like(clean)
        step[place] = small
        expected[place] = (divergence(clean + step) - divergence(clean - step)) / (2 * small)
    np.testing.assert_allclose(tape.gradient(total, outcome.logits["clean"]), expected, atol=1e-4)
    assert np.abs(expected).max() > 1e-3
