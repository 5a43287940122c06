"""Attacks called on arrays: survivors alone, full batches, nothing traced twice, nothing stale."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

import anchor_tf
from anchor_tf import specs
from anchor_tf.attacks import autoattack as suite
from anchor_tf.attacks.inputs import takes_arrays
from anchor_tf.errors import UserError
from anchor_tf.models import memory

X = np.random.default_rng(0).random((20, 6, 6, 1), np.float32)
THREAT = anchor_tf.Threat("linf", 0.1)
SHORT = {
    "apgd-ce": "apgd(steps=5)",
    "apgd-t": "apgd(objective=targeted_dlr,steps=5,targets=2)",
    "fab-t": "fab(steps=4,targets=2)",
    "square": "square(queries=120)",
}


@pytest.fixture
def short(monkeypatch):
    """AutoAttack with few steps."""
    monkeypatch.setitem(suite._VERSIONS, "standard", SHORT)


def network(seed=0, dropout=False):
    keras.utils.set_random_seed(seed)
    images = keras.Input((6, 6, 1))
    hidden = keras.layers.Dense(8, "tanh")(keras.layers.Flatten()(images))
    hidden = keras.layers.Dropout(0.5)(hidden) if dropout else hidden
    return keras.Model(images, keras.layers.Dense(4)(hidden))


class Counted:
    """A function that counts its traces, and its calls with the images in each."""

    def __init__(self, model):
        self.model, self.traces, self.calls = model, 0, []

    def __call__(self, images):
        self.traces += 1
        tf.py_function(lambda x: self.calls.append(len(x)), [images], [])
        return self.model(images)


def predictions(model, images):
    return np.argmax(model(images), axis=1)


@pytest.mark.slow
def test_the_suite_equals_the_one_in_a_graph(short):
    model, threat = network(), anchor_tf.Threat("linf", 0.03)
    labels = predictions(model, X)
    labels[::5] = (labels[::5] + 1) % 4
    found = anchor_tf.autoattack(model, X, labels, threat, 7)
    whole = tf.function(
        lambda x: anchor_tf.autoattack(model, x, labels, threat, 7), autograph=False
    )
    expected = whole(X)
    np.testing.assert_array_equal(found[::5], X[::5])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    robust = predictions(model, found) == labels
    assert 0 < robust.sum() < 16
    batches = anchor_tf.autoattack(model, X, labels, threat, 7, batch_size=6)
    np.testing.assert_allclose(batches, found, atol=1e-5)
    started = anchor_tf.autoattack(model, X, labels, threat, 7, x_init=found)
    np.testing.assert_array_equal(started[~robust], found[~robust])


def test_who_is_broken_is_attacked_no_more(short):
    counted = Counted(network())
    labels = predictions(counted.model, X)
    anchor_tf.autoattack(counted, X, labels, anchor_tf.Threat("linf", 0.9), batch_size=20)
    first = len(counted.calls)
    # Outputs, who is classified correctly, APGD's start and steps, and who is left.
    assert first == 1 + 1 + 6 + 1
    traces = counted.traces
    anchor_tf.autoattack(counted, X, labels, anchor_tf.Threat("linf", 0.9), batch_size=20)
    assert counted.traces == traces
    assert len(counted.calls) - first == 1 + 6 + 1


def test_within_a_graph_finished_members_are_skipped(short, monkeypatch):
    monkeypatch.delitem(SHORT, "apgd-t")
    monkeypatch.delitem(SHORT, "fab-t")
    counted = Counted(network())
    labels = predictions(counted.model, X)
    threat = anchor_tf.Threat("linf", 0.9)
    tf.function(lambda x: anchor_tf.autoattack(counted, x, labels, threat), autograph=False)(X)
    # One for the number of classes may be pruned; one before each of two members.
    assert 6 + 2 <= len(counted.calls) <= 6 + 2 + 2


@pytest.mark.parametrize("name", ["apgd", "fab", "fgsm", "pgd", "square"])
def test_batches_are_full_and_traced_once(name):
    counted = Counted(network())
    labels = predictions(counted.model, X)
    attack = getattr(anchor_tf, name)
    arguments = {"apgd": {"steps": 3}, "fab": {"steps": 3}, "square": {"queries": 10}}.get(name, {})
    whole = attack(counted, X, labels, THREAT, 3, **arguments)
    found = attack(counted, X, labels, THREAT, 3, batch_size=8, **arguments)
    np.testing.assert_allclose(found, whole, atol=1e-5)
    assert set(counted.calls) == {20, 8}
    traces = counted.traces
    again = attack(counted, X[:9], labels[:9], THREAT, 3, batch_size=8, **arguments)
    np.testing.assert_allclose(again, found[:9], atol=1e-5)
    tensors = tf.constant(X[:17]), tf.constant(labels[:17])
    attack(counted, *tensors, THREAT, seed=4, batch_size=8, **arguments)
    assert counted.traces == traces
    attack(counted, *tensors, anchor_tf.Threat("l2", 0.1), batch_size=8, **arguments)
    assert counted.traces > traces


def test_a_tensor_radius_is_no_reason_to_trace():
    counted = Counted(network())
    labels = predictions(counted.model, X)
    for radius in (0.1, 0.05):
        ball = THREAT.with_epsilon(tf.constant(radius))
        found = anchor_tf.pgd(counted, X, labels, ball, 1, steps=3)
        expected = anchor_tf.pgd(network(), X, labels, THREAT.with_epsilon(radius), 1, steps=3)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert counted.traces == 2  # outputs, and the attack


def test_weights_are_read_anew():
    model, other = network(0), network(1)
    labels = predictions(model, X)
    anchor_tf.pgd(model, X, labels, THREAT)
    model.set_weights(other.get_weights())
    found = anchor_tf.pgd(model, X, labels, THREAT)
    np.testing.assert_array_equal(found, anchor_tf.pgd(other, X, labels, THREAT))


class Dial(keras.Model):
    """Its outputs depend on attributes."""

    def __init__(self):
        super().__init__()
        self.flat, self.head, self.sign = keras.layers.Flatten(), keras.layers.Dense(4), 1.0

    def call(self, x):
        return self.sign * self.head(self.flat(x)) * (1.0 if self.head.trainable else -1.0)


SETTINGS = {"sign": 1.0}


def _turned(kind):
    """A model that turns around, how it is turned, and its attack when it is."""
    if kind in ("sign", "trainable"):
        model = Dial()
        change = (model, "sign", -1.0) if kind == "sign" else (model.head, "trainable", False)
        return model, lambda: setattr(*change)
    base = network()
    if kind == "layer":
        return base, lambda: setattr(base.layers[-1], "activation", lambda z: -z)
    if kind == "closure":
        sign = 1.0

        def model(x):
            return sign * base(x)

        def turn():
            nonlocal sign
            sign = -1.0

        return model, turn
    if kind == "global":
        SETTINGS["sign"] = 1.0
        return lambda x: SETTINGS["sign"] * base(x), lambda: SETTINGS.update(sign=-1.0)
    holder = Counted(base)
    if kind == "array":
        holder.factor = np.ones(4, np.float32)
        return lambda x: base(x) * holder.factor, lambda: holder.factor.__imul__(-1.0)
    other = network(5)
    return holder, lambda: setattr(holder, "model", other)


@pytest.mark.parametrize(
    "kind", ["sign", "trainable", "layer", "closure", "global", "array", "attribute"]
)
def test_a_change_of_the_model_is_noticed(kind):
    model, turn = _turned(kind)
    labels = predictions(model, tf.constant(X))
    before = anchor_tf.fgsm(model, X, labels, THREAT)
    turn()
    found = anchor_tf.fgsm(model, X, labels, THREAT)
    fresh = anchor_tf.fgsm(lambda x: model(x), X, labels, THREAT)
    np.testing.assert_array_equal(found, fresh)
    assert np.abs(found - before).max() > 0.05


def test_a_dtype_policy_is_noticed():
    model = network()
    labels = predictions(model, X)
    with memory.of(model) as first:
        pass
    anchor_tf.fgsm(model, X, labels, THREAT)
    with memory.of(model) as same:
        assert same is first
    model.layers[-1].dtype_policy = keras.DTypePolicy("mixed_bfloat16")
    with memory.of(model) as other:
        assert other is not first


def test_memory_ends_with_the_model_and_is_bounded():
    model = network()
    labels, reference = predictions(model, X), weakref.ref(model)
    known = len(memory._entries)
    anchor_tf.autoattack(model, X[:4], labels[:4], THREAT)
    for radius in np.linspace(0.01, 0.1, 40):
        with memory.of(model) as kept:
            kept.get(float(radius), object)
    assert len(kept._values) == memory._VALUES
    models = [network() for _ in range(3)]
    for other in models:
        with memory.of(other):
            pass
    assert len(memory._entries) <= memory._MODELS
    del model, kept
    gc.collect()
    assert reference() is None
    assert len(memory._entries) <= known + 3


def test_a_function_written_in_the_call_and_a_bound_method():
    model = network()
    labels = predictions(model, X)

    class Holder:
        def __init__(self):
            self.traces = 0

        def logits(self, images):
            self.traces += 1
            return model(images)

    holder = Holder()
    expected = anchor_tf.pgd(model, X, labels, THREAT)
    for _ in range(2):
        for function in (lambda x: model(x), holder.logits):
            found = anchor_tf.pgd(function, X, labels, THREAT)
            np.testing.assert_array_equal(found, expected)
    assert holder.traces == 2


def test_an_attack_of_ones_own():
    @takes_arrays
    def noise(logits_fn, x, y, threat, seed=0, x_init=None, *, scale: float = 1.0):
        assert x.shape[0] == 8
        keys = anchor_tf.keyed_random.fold(anchor_tf.keyed_random.as_keys(seed, x), "noise")
        signs = tf.sign(anchor_tf.keyed_random.uniform(keys, x.shape[1:], -1.0, 1.0))
        return threat.project(x + scale * threat.epsilon * signs, x)

    labels = np.zeros(20, np.uint8)
    found = noise(network(), X, labels, THREAT, batch_size=8, scale=0.5)
    assert found.shape == X.shape
    assert len(np.unique(np.round(np.abs(found - X), 5))) > 1
    spec = specs.Spec("noise", {}, "noise")
    assert specs.arguments_of(noise, spec) == {"scale": 1.0}
    with pytest.raises(TypeError, match="argument of every attack"):
        takes_arrays(lambda logits_fn, x, y, threat, *, batch_size: x)
    with pytest.raises(TypeError):
        noise(network(), X, labels, THREAT, scales=0.5)


def test_a_transfer_reads_a_file_that_was_written_anew(tmp_path):
    model, path = network(), tmp_path / "other.keras"
    labels = predictions(model, X)
    for seed in (1, 2):
        network(seed).save(path)
        found = anchor_tf.transfer(model, X, labels, THREAT, model=str(path), steps=2)
        expected = anchor_tf.pgd(network(seed), X, labels, THREAT, steps=2)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_model_that_was_not_built_is_watched_too():
    model = Dial()
    labels = np.zeros(20, int)
    before = anchor_tf.fgsm(model, X, labels, THREAT)
    with memory.of(model) as known:
        pass
    np.testing.assert_array_equal(anchor_tf.fgsm(model, X, labels, THREAT), before)
    with memory.of(model) as same:
        assert same is known
    model.head.trainable = False
    found = anchor_tf.fgsm(model, X, labels, THREAT)
    assert np.abs(found - before).max() > 0.05


def test_what_an_attack_of_ones_own_refers_to_is_watched():
    share = 0.5

    @takes_arrays
    def moved(logits_fn, x, y, threat, seed=0, x_init=None):
        return threat.project(x + share * threat.epsilon, x)

    model, labels = network(), np.zeros(20, int)
    for share in (0.5, 0.25, 0.25):
        found = moved(model, 0.5 * X, labels, THREAT)
        np.testing.assert_allclose(found - 0.5 * X, share * 0.1, atol=1e-6)


def test_sizes_that_are_none():
    model = network()
    assert anchor_tf.autoattack(model, X[:0], [], THREAT).shape == (0, 6, 6, 1)
    assert anchor_tf.pgd(model, X[:0], np.zeros(0, int), THREAT).shape == (0, 6, 6, 1)
    with pytest.raises(UserError, match="batch_size 0 should be at least 1"):
        anchor_tf.pgd(model, X, np.zeros(20, int), THREAT, batch_size=0)
