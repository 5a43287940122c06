"""A table of models: each is attacked in inference mode, as logits, or refused in one line."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import anchor_tf
from anchor_tf import specs
from anchor_tf.errors import UserError
from anchor_tf.evaluation.runner import evaluate
from anchor_tf.losses.classification import margin
from anchor_tf.models import model_file
from anchor_tf.models.classifier import Classifier, OutputWarning

SHAPE = (6, 6, 1)
X = np.random.default_rng(0).random((24, *SHAPE), np.float32)
THREAT = anchor_tf.Threat("linf", 0.1)
ATTACKS = {
    "fgsm": {},
    "pgd": {"steps": 3},
    "apgd": {"steps": 4},
    "square": {"queries": 20},
    "fab": {"steps": 3, "targets": 2},
    "cw_l2": {"steps": 3, "binary_search_steps": 2},
}


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(3)


def functional(units=3, activation=None, scale=1.0, dtype="float32"):
    images = keras.Input(SHAPE)
    hidden = keras.layers.Dense(8, "tanh")(keras.layers.Flatten()(images))
    kernel = keras.initializers.VarianceScaling(scale, seed=1)
    head = keras.layers.Dense(units, activation, kernel_initializer=kernel, dtype=dtype)
    return keras.Model(images, head(hidden))


def sequential():
    head = functional()
    return keras.Sequential([keras.Input(SHAPE), head, keras.layers.Rescaling(2.0)])


class Block(keras.layers.Layer):
    """Takes the mode from the call around it."""

    def __init__(self):
        super().__init__()
        self.norm, self.dropout = keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)

    def call(self, x):
        return self.dropout(self.norm(x))


class Training(keras.Model):
    """Trains unless it is told otherwise."""

    def __init__(self):
        super().__init__()
        self.flat, self.block = keras.layers.Flatten(), Block()
        self.norm, self.dropout = keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)
        self.head = keras.layers.Dense(3)

    def call(self, x, training=True):
        x = self.norm(self.flat(x), training=training)
        return self.head(self.block(self.dropout(x, training=training)))


class Modeless(keras.Model):
    """Its call knows no mode."""

    def __init__(self):
        super().__init__()
        self.inner = Training()

    def call(self, x):
        return self.inner(x)


def function():
    model = functional()
    return lambda x: model(x, training=False)


def in_dict():
    images = keras.Input(SHAPE)
    return keras.Model(images, {"scores": functional()(images)})


def in_list():
    images = keras.Input(SHAPE)
    return keras.Model(images, [functional()(images)])


def input_in_dict():
    images = keras.Input(SHAPE, name="image")
    return keras.Model({"image": images}, functional()(images))


def half():
    return functional(dtype="float16")


CLASSIFIERS = {
    "functional": functional,
    "sequential": sequential,
    "training": Training,
    "modeless": Modeless,
    "function": function,
    "dict": in_dict,
    "list": in_list,
    "input in a dict": input_in_dict,
    "half": half,
}
BINARY = {
    "linear": lambda: functional(1),
    "sigmoid": lambda: functional(1, "sigmoid"),
    "nested": lambda: keras.Sequential([keras.Input(SHAPE), functional(1, "sigmoid")]),
    "layer": lambda: keras.Sequential([functional(1), keras.layers.Activation("sigmoid")]),
    "half": lambda: functional(1, "sigmoid", dtype="float16"),
    "vector": lambda: (lambda model: lambda x: model(x)[:, 0])(functional(1, "sigmoid")),
    "of two": lambda: (lambda model: lambda x: model(x)[:, 1])(functional(2, "softmax")),
    "by hand": lambda: (lambda model: lambda x: 1 / (1 + tf.exp(-model(x))))(functional(1)),
    "linear by hand": lambda: (lambda model: lambda x: 20 * model(x))(functional(1)),
}


def variables(model):
    return [np.array(variable) for variable in getattr(model, "variables", [])]


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_every_model_is_attacked_in_inference_mode(kind):
    model = CLASSIFIERS[kind]()
    logits_fn = Classifier(model)
    labels = np.argmax(logits_fn(X), axis=1)
    before = variables(model)
    np.testing.assert_array_equal(logits_fn(X), logits_fn(X))
    for name in ATTACKS if kind in ("training", "dict") else ("fgsm", "apgd"):
        attack, arguments = getattr(anchor_tf, name), ATTACKS[name]
        threat = anchor_tf.Threat("l2", 0.5) if name == "cw_l2" else THREAT
        found, again = (attack(model, X, labels, threat, **arguments) for _ in range(2))
        np.testing.assert_array_equal(found, again)
        assert np.mean(margin(logits_fn(found), labels)) > np.mean(margin(logits_fn(X), labels))
    for one, other in zip(before, variables(model), strict=True):
        np.testing.assert_array_equal(one, other)


def test_inside_another_models_training_step():
    inner = Training()
    inner(X, training=False)
    before = variables(inner)
    modes = []

    class Mode(keras.layers.Layer):
        def call(self, x, training=None):
            modes.append(training)
            return x

    class Outer(keras.Model):
        def __init__(self):
            super().__init__()
            self.mode, self.head = Mode(), keras.layers.Dense(3)

        def call(self, x, training=None):
            moved = anchor_tf.pgd(inner, x, tf.zeros(tf.shape(x)[0], tf.int32), THREAT, steps=2)
            return self.head(keras.ops.reshape(self.mode(moved), (-1, 36)))

    outer = Outer()
    expected = anchor_tf.pgd(inner, X, np.zeros(24, int), THREAT, steps=2)
    outer.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    outer.fit(X, np.zeros(24), batch_size=8, verbose=0)
    outer(X, training=True)
    assert modes
    assert modes[-1] is True  # the attack's mode is not left to the layers after it
    for one, other in zip(before, variables(inner), strict=True):
        np.testing.assert_array_equal(one, other)
    found = anchor_tf.pgd(inner, X, np.zeros(24, int), THREAT, steps=2)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", BINARY)
def test_a_single_output_is_attacked_as_two_logits(kind, parse):
    model = BINARY[kind]()
    outputs = np.reshape(tf.cast(tf.function(model)(X), tf.float32), -1)
    linear = "linear" in kind
    z = outputs if linear else np.log(outputs) - np.log1p(-outputs)
    labels = (outputs > (0.0 if linear else 0.5)).astype(int)
    assert 0 < labels.mean() < 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", OutputWarning)
        for name in ATTACKS if kind in ("sigmoid", "by hand") else ("pgd",):
            arguments = ATTACKS[name]
            threat = anchor_tf.Threat("l2", 0.5) if name == "cw_l2" else THREAT
            attack = getattr(anchor_tf, name)
            found = attack(model, X, labels, threat, **arguments)
            moved = np.reshape(tf.cast(tf.function(model)(found), tf.float32), -1)
            signs = np.where(labels, -1.0, 1.0)
            assert np.mean(signs * (moved - outputs)) > 0.0
            if name != "pgd":
                continue
            for y in (labels[:, None], labels.astype(bool), labels[:, None].astype(np.float32)):
                np.testing.assert_array_equal(attack(model, X, y, threat, **arguments), found)
    evaluation = evaluate(model, X, labels[:, None], parse("pgd(steps=3)"), THREAT, seed=0)
    logits_fn = Classifier(model)
    logits_fn.facts.look(outputs[:, None])
    np.testing.assert_allclose(logits_fn(X), np.stack([0 * z, z], axis=1), atol=2e-3)
    assert evaluation.clean_accuracy == 1.0
    assert evaluation.attacks[0].accuracy < 1.0
    told = " ".join(evaluation.warnings)
    assert "the model has one output" in told
    assert ("a linear output" in told) == linear
    wrong = 1 - labels
    assert evaluate(model, X, wrong, [], THREAT).clean_accuracy == 0.0


def test_the_suite_on_a_single_output(parse, monkeypatch):
    from anchor_tf.attacks import autoattack as suite

    short = {"apgd-ce": "apgd(steps=4)", "apgd-t": "apgd(objective=targeted_dlr)"}
    short |= {"square": "square(queries=20)"}
    monkeypatch.setitem(suite._VERSIONS, "standard", short)
    model = functional(1, "sigmoid", scale=9.0)
    labels = (model(X).numpy() > 0.5).astype(np.float32)
    found = anchor_tf.autoattack(model, X, labels, THREAT)
    evaluation = evaluate(model, X, labels, parse("autoattack"), THREAT)
    standing = (model(found).numpy() > 0.5) == (labels > 0.5)
    assert standing.mean() == evaluation.attacks[0].accuracy < 1.0
    assert any("ran without apgd-t" in text for text in evaluation.warnings)


def test_a_saturated_sigmoid_is_told_and_attacked_before_it(tmp_path):
    model = functional(1, "sigmoid", scale=1e5)
    labels = model(X).numpy() > 0.5
    with pytest.warns(OutputWarning, match="saturated.* follow the logit before it"):
        found = anchor_tf.pgd(model, X, labels, THREAT, steps=5)
    assert np.mean((model(found).numpy() > 0.5) == labels) < 0.9
    hidden = tf.function(lambda x: model(x), autograph=False)  # nothing is read in its graph
    with pytest.warns(OutputWarning, match="saturated.* find no gradient"):
        anchor_tf.pgd(lambda x: hidden(x), X, labels, THREAT, steps=5)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("readable", [True, False])
def test_probabilities_are_told_by_attacks_and_evaluation(activation, dtype, readable, parse):
    model = functional(3, activation, dtype=dtype)
    labels = np.argmax(tf.cast(model(X), tf.float32), axis=1)
    shown = model if readable else (lambda x: model(x) * 1.0)
    for run in (
        lambda: anchor_tf.fgsm(shown, X, labels, THREAT),
        lambda: anchor_tf.fgsm(shown, X, labels, THREAT),
        lambda: evaluate(shown, X, labels, parse("fgsm"), THREAT),
    ):
        with pytest.warns(OutputWarning, match="look like probabilities") as found:
            run()
        assert [one.filename for one in found] == [__file__]
    inside = tf.function(lambda x: anchor_tf.fgsm(model, x, labels, THREAT), autograph=False)
    with pytest.warns(OutputWarning, match="look like probabilities"):
        inside(X)
    logits = functional(3, dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error", OutputWarning)
        anchor_tf.fgsm(logits, X, labels, THREAT)
        evaluate(logits, X, labels, parse("fgsm"), THREAT)


def two_outputs():
    images = keras.Input(SHAPE)
    return keras.Model(images, {"logits": functional()(images), "features": images})


def two_inputs():
    images, other = keras.Input(SHAPE, name="images"), keras.Input(SHAPE, name="other")
    return keras.Model([images, other], functional()(images + other))


class TwoArguments(keras.Model):
    def call(self, x, other):
        return x + other


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (two_outputs, r'2 outputs: features, logits: choose .*lambda x: model\(x\)\["features"\]'),
        (lambda: lambda x: [x, x], r"2 outputs: choose .*model\(x\)\[0\]"),
        (lambda: lambda x: {}, "returns 0 outputs"),
        (two_inputs, r"2 inputs \(images, other\): give a function"),
        (TwoArguments, r"2 inputs \(images, other\)"),
        (lambda: lambda x: x, r"logits \[B, K\], one row an image, not \(24, 6, 6, 1\)"),
        (lambda: lambda x: tf.reshape(x, [-1, 36])[:, :0], r"one row an image, not \(24, 0\)"),
        (lambda: lambda x: tf.argmax(functional()(x), 1), "returns int64: it should return logits"),
        (lambda: lambda x: functional()(x)[:5], r"logits \[B, K\]: \(5, 3\) for B = 24"),
        (lambda: lambda x: None, r"logits \[B, K\], not NoneType"),
        (lambda: "model.keras", "a Keras model or a function, images to logits, not str"),
        (lambda: functional().predict, "predict has no gradient"),
        (lambda: functional(1, "softmax"), "softmax over one output is always 1"),
    ],
)
def test_what_is_no_classifier_is_refused_in_one_line(model, message):
    labels = np.zeros(24, int)
    model = model()
    for run in (
        lambda: anchor_tf.fgsm(model, X, labels, THREAT),
        lambda: tf.function(lambda x: anchor_tf.fgsm(model, x, labels, THREAT), autograph=False)(X),
        lambda: evaluate(model, X, labels, [], THREAT),
    ):
        with pytest.raises(UserError, match=message) as error:
            run()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_out_of_range_are_refused_where_they_are_known(label):
    model, labels = functional(), np.full(24, label)
    message = f"a label is {label}, but the model knows 3 classes"
    with pytest.raises(UserError, match=message):
        anchor_tf.pgd(model, X, labels, THREAT)
    inside = tf.function(lambda x: anchor_tf.pgd(model, x, labels, THREAT), autograph=False)
    with pytest.raises(UserError, match=message):
        inside(X)


def test_a_single_output_that_cannot_be_read_within_a_graph():
    model = BINARY["by hand"]()
    labels = np.zeros(24, int)
    inside = tf.function(lambda x: anchor_tf.pgd(model, x, labels, THREAT), autograph=False)
    with pytest.raises(UserError, match="call the attack once outside"):
        inside(X)
    expected = anchor_tf.pgd(model, X, labels, THREAT)
    np.testing.assert_allclose(inside(X), expected, atol=1e-6)


@pytest.mark.parametrize("binary", [False, True])
def test_files_with_one_output_in_a_dict(tmp_path, binary, parse):
    images = keras.Input(SHAPE, name="image")
    head = functional(1, "sigmoid") if binary else functional()
    model = keras.Model({"image": images}, {"scores": head(images)})
    model.save(tmp_path / "model.keras")
    model.export(tmp_path / "saved", verbose=False)
    found = Classifier(model)(X)
    labels = np.argmax(found, axis=1)
    for path in (tmp_path / "model.keras", tmp_path / "saved"):
        loaded = model_file.load(path)
        assert model_file.classes(loaded) == found.shape[1]
        wide = anchor_tf.Threat("linf", 0.4)
        evaluation = evaluate(loaded, X, labels, parse("pgd(steps=3)"), wide)
        assert evaluation.clean_accuracy == 1.0
        assert evaluation.attacks[0].accuracy < 1.0
        moved = anchor_tf.pgd(loaded, X, labels, THREAT, steps=3)
        expected = anchor_tf.pgd(model, X, labels, THREAT, steps=3)
        np.testing.assert_allclose(moved, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (two_outputs, "returns 2 outputs"),
        (two_inputs, r"takes 2 inputs \(images, other\)"),
    ],
)
def test_files_with_several_are_refused(tmp_path, model, message):
    model().save(tmp_path / "model.keras")
    with pytest.raises(UserError, match=message):
        model_file.load(tmp_path / "model.keras")


@pytest.fixture
def parse():
    return lambda *texts: [
        specs.check(specs.parse(text), "anchor_tf.attacks", "attack") for text in texts
    ]
