"""Methods as Keras models: what fit and evaluate measure, weights, labels and metrics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import specs
from anchor_tf.attacks.pgd import pgd
from anchor_tf.errors import UserError
from anchor_tf.methods.interface import Batch
from tests.methods.method_cases import THREAT, element
from tests.methods.test_methods import METHODS

TERMS = [text for text in METHODS if "(" not in text]


def build(text, compile_with=None, **setup):
    """A method on the smallest network, whose steps run eagerly."""
    keras.utils.set_random_seed(0)
    spec = specs.check(specs.parse(text), "anchor_tf.methods", "method")
    setup = {"attack_steps": 1, "validation_attack": 2, **spec.arguments, **setup}
    images = keras.Input((8, 8, 1))
    hidden = keras.layers.Conv2D(4, 3, strides=2)(images)
    hidden = keras.layers.ReLU()(keras.layers.BatchNormalization()(hidden))
    backbone = keras.Model(images, keras.layers.GlobalAveragePooling2D()(hidden))
    method = specs.load(spec, "anchor_tf.methods")(backbone, 4, THREAT, **setup)
    compile_with = {"optimizer": keras.optimizers.SGD(0.02), "run_eagerly": True} | (
        compile_with or {}
    )
    method.compile(**compile_with)
    return method


def data(count=20):
    images = element(count)["images"].numpy()
    return images, np.arange(count) % 4


def trained(method, images, labels, **named):
    """The history's last epoch."""
    named = {"batch_size": 16, "verbose": 0, "shuffle": False, **named}
    history = method.fit(images, labels, **named).history
    return {name: values[-1] for name, values in history.items()}


@pytest.mark.parametrize("text", METHODS)
def test_fit_and_evaluate_log_what_they_measure(text):
    method, (images, labels) = build(text), data()
    logs = trained(method, images, labels, validation_data=(images, labels))
    trains = {name for name in ("accuracy", "robust_accuracy") if name in logs}
    sees = {{"clean": "accuracy"}.get(name, f"{name}_accuracy") for name in method.accuracies}
    assert trains == sees
    found = method.evaluate(images, labels, batch_size=16, verbose=0, return_dict=True)
    assert found == {n.removeprefix("val_"): v for n, v in logs.items() if n.startswith("val_")}
    assert set(found) == {"loss", *method.loss_terms, "accuracy", "robust_accuracy"}
    np.testing.assert_allclose(found["loss"], sum(found[n] for n in method.loss_terms), rtol=1e-5)
    predicted = method.predict(images, verbose=0).argmax(axis=1)
    np.testing.assert_allclose(found["accuracy"], (predicted == labels).mean(), rtol=1e-6)
    assert found["robust_accuracy"] <= found["accuracy"]


@pytest.mark.parametrize("attack", ["pgd", "n_fgsm"])
def test_validation_attacks_what_would_be_kept(attack):
    """PGD at full epsilon on the averages, whatever the training attack; batches do not count."""
    options = {"training_attack": attack, "epsilon_ramp_steps": 100, "average_decay": 0.9}
    method = build("pgd_at", validation_attack=10, seed=3, **options)
    images, labels = data(40)
    trained(method, images, labels, epochs=3)
    adversarial = pgd(method.classify_averaged, images, labels, THREAT, seed=3, steps=10)
    clean, robust = (
        np.asarray(method.classify_averaged(given)).argmax(axis=1) == labels
        for given in (images, adversarial)
    )
    for batch_size in (16, 40):
        found = method.evaluate(images, labels, batch_size, verbose=0, return_dict=True)
        np.testing.assert_allclose(found["accuracy"], clean.mean(), rtol=1e-6)
        np.testing.assert_allclose(found["robust_accuracy"], (clean & robust).mean(), rtol=1e-6)
    assert (clean & robust).mean() < clean.mean()
    averaged = method.predict(images, verbose=0)
    np.testing.assert_allclose(averaged, method.classify_averaged(images), atol=1e-6)
    assert np.abs(averaged - method.classify(images)).max() > 1e-4


def test_evaluation_leaves_the_method_alone():
    method, (images, labels) = build("anchor", average_decay=0.9), data()
    trained(method, images, labels)
    before = [np.array(v.value) for v in method.state]
    method.evaluate(images, labels, verbose=0)
    for old, variable in zip(before, method.state, strict=True):
        np.testing.assert_array_equal(old, variable.value)


@pytest.mark.slow  # XLA compiles on a CPU for a quarter of a minute
def test_graph_jit_and_eager_agree():
    images, labels = data()
    found = []
    for how in ({"run_eagerly": True}, {"run_eagerly": False}, {"jit_compile": True}):
        method = build("anchor", {"run_eagerly": False, **how}, average_decay=0.5)
        found.append(method.evaluate(images, labels, batch_size=16, verbose=0, return_dict=True))
    for other in found[1:]:
        assert other == pytest.approx(found[0], abs=2e-5)


def test_without_an_attack_in_validation():
    method, (images, labels) = build("ce", validation_attack=None), data()
    logs = trained(method, images, labels, validation_split=0.25)
    assert {n for n in logs if n.startswith("val_")} == {
        "val_loss",
        "val_cross_entropy",
        "val_accuracy",
    }


@pytest.mark.parametrize("steps", [0, -1, True, "pgd", 2.0])
def test_a_validation_attack_of_no_steps_is_refused(steps):
    with pytest.raises(UserError, match="validation_attack"):
        build("ce", validation_attack=steps)


@pytest.mark.parametrize("named", [{"loss": "mse"}, {"loss_weights": [1.0]}])
def test_the_loss_is_the_method_s(named):
    with pytest.raises(UserError, match="the method brings its own loss"):
        build("ce", named)


def test_early_stopping_on_robust_accuracy():
    method, (images, labels) = build("ce"), data()
    stop = keras.callbacks.EarlyStopping("val_robust_accuracy", mode="max", patience=1)
    method.optimizer.learning_rate = 0.0
    history = method.fit(
        images, labels, epochs=9, validation_split=0.2, callbacks=[stop], verbose=0
    ).history
    assert len(history["loss"]) < 9


@pytest.mark.parametrize("text", ["ce", "pgd_at", "anchor", "fat"])
def test_metrics_of_compile_see_clean_logits(text):
    top = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top")
    method, (images, labels) = build(text, {"metrics": ["accuracy", top]}), data()
    logs = trained(method, images, labels, validation_data=(images, labels))
    assert ("top" in logs) == ("clean" in method.accuracies)
    ranked = method.predict(images, verbose=0).argsort(axis=1)[:, -2:]
    expected = (ranked == labels[:, np.newaxis]).any(axis=1).mean()
    np.testing.assert_allclose(logs["val_top"], expected, rtol=1e-6)
    values = method.evaluate(images, labels, verbose=0)
    named = method.evaluate(images, labels, verbose=0, return_dict=True)
    assert values[0] == named["loss"]
    assert sorted(values) == sorted(named.values())


@pytest.mark.parametrize("text", ["ce", "trades", "anchor", "clead"])
def test_the_mean_of_an_epoch_weighs_a_smaller_batch_by_its_size(text):
    images, labels = data(20)
    parts = []
    for rows in (slice(16), slice(16, 20), slice(20)):
        method = build(text)
        method.optimizer.learning_rate = 0.0
        # Index and iteration of the batch are the attack's key: there is none here.
        method.perturb = lambda batch, *_, m=method: tf.tile(
            batch.images, [2 if type(m).__name__ == "CLEAD" else 1, 1, 1, 1]
        )
        parts.append(trained(method, images[rows], labels[rows]))
    large, small, both = parts
    for name in set(both) - {"gradient_norm"}:
        expected = (16 * large[name] + 4 * small[name]) / 20
        np.testing.assert_allclose(both[name], expected, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("text", TERMS)
def test_weights_multiply_each_example_s_loss(text):
    """The gradient is that of the sum of weight times loss over the number of rows."""
    method, (images, labels) = build(text), data(8)
    weights = np.array([0.0, 1.0, 2.0, 0.5, 0.0, 1.0, 3.0, 1.0], np.float32)
    variables = method.trainable_variables
    keys = tf.zeros([8, 3], tf.uint32)
    batch = Batch.of((images, labels), method.views)
    weighted = Batch.of((images, labels, weights), method.views)
    adversarial = method.perturb(batch, THREAT, keys)
    with tf.GradientTape() as tape:
        loss = tf.add_n(list(method.outcome(batch, adversarial).losses.values()))
        total = tf.reduce_sum(weights * loss) / 8.0
    expected = tape.gradient(total, [v.value for v in variables], unconnected_gradients="zero")
    found, found_loss, _ = method._gradients(weighted, adversarial, variables)
    np.testing.assert_allclose(found_loss, weights * loss, rtol=1e-4, atol=1e-6)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    logs = trained(method, images, labels, sample_weight=weights, epochs=1)
    np.testing.assert_allclose(logs["loss"], sum(logs[n] for n in method.loss_terms), rtol=1e-5)


def test_class_weights_are_keras_s():
    images, labels = data(16)
    of_classes = {0: 3.0, 1: 1.0, 2: 0.5, 3: 0.0}
    given = {"validation_data": (images, labels), "epochs": 1}
    found, plain = (build("ce") for _ in range(2))
    for method in (found, plain):
        method.optimizer.learning_rate = 0.0
    logits = plain(images, training=True)
    rows = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    logs = trained(found, images, labels, class_weight=of_classes, **given)
    unweighted = trained(plain, images, labels, **given)
    expected = np.mean([of_classes[label] for label in labels] * np.asarray(rows))
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)
    assert logs["accuracy"] == unweighted["accuracy"]
    evaluated = build("ce").evaluate(images, labels, sample_weight=np.full(16, 2.0), verbose=0)
    np.testing.assert_allclose(
        evaluated[0], 2 * build("ce").evaluate(images, labels, verbose=0)[0], rtol=1e-6
    )


@pytest.mark.parametrize("text", ["ce", "anchor"])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int64])
def test_one_hot_rows_are_their_classes(text, dtype):
    images, labels = data()
    histories = []
    for given in (labels, np.eye(4, dtype=dtype)[labels]):
        method = build(text, {"metrics": ["accuracy"]})
        histories.append(trained(method, images, given, validation_data=(images, given)))
    assert histories[0] == histories[1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full([20, 4], 0.25), "one-hot"),
        (np.eye(4)[np.arange(20) % 4] * 0.9 + 0.025, "one-hot"),
        (np.zeros([20, 4]), "one-hot"),
        (np.ones([20, 3]), "shape"),
        (np.arange(20), "0 to 3"),
        (np.arange(20) % 4 - 1, "0 to 3"),
        (np.arange(20) % 4 + 0.5, "0 to 3"),
    ],
)
def test_labels_that_name_no_class_are_refused(labels, message):
    method, (images, right) = build("ce"), data()
    with pytest.raises(UserError, match=message):
        method.fit(images, labels, verbose=0)
    with pytest.raises(UserError, match=message):
        method.fit(images, right, validation_data=(images, labels), verbose=0)
    with pytest.raises(UserError, match=message):
        method.evaluate(images, labels, verbose=0)
    assert int(method.optimizer.iterations.numpy()) == 0


def test_soft_labels_from_a_data_set_are_refused_in_the_graph():
    method, (images, _) = build("ce", {"run_eagerly": False}), data()
    soft = tf.data.Dataset.from_tensors((images, np.full([20, 4], 0.25, np.float32)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be one-hot"):
        method.fit(soft, verbose=0)
