"""The runner against a plain loop, and what must hold whatever the model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.attacks.cw import cw
from anchor_tf.attacks.pgd import pgd
from anchor_tf.errors import UserError
from anchor_tf.evaluation.curve import accuracy_curve
from anchor_tf.evaluation.members import members_of
from anchor_tf.evaluation.runner import evaluate
from anchor_tf.evaluation.trial import Trial
from anchor_tf.threat import Threat

pytestmark = pytest.mark.numeric

THREAT = Threat("linf", 0.05)
# The last is weaker than others, so that the worst case is not simply the last.
TEXTS = (
    "bim(steps=1,step_size=0.03)",
    "pgd(steps=5)",
    "cw(steps=5)",
    "bim(steps=1,step_size=0.01)",
)


def _one_by_one(network, images, labels, attack, name, steps):
    """The robust mask of an attack, an example at a time and with no runner."""

    def logits_fn(batch):
        return network(batch, training=False)

    @tf.function(autograph=False)
    def attacked(x, label, index):
        keys = keyed_random.fold(keyed_random.example_keys(7, 0, index), name)
        return attack(logits_fn, x, label, THREAT, keys, steps=steps)

    robust = []
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        x = tf.constant(image[np.newaxis] / np.float32(255.0))
        correct = np.argmax(logits_fn(x)[0]) == label
        if correct:
            adversarial = attacked(x, tf.constant([label]), tf.constant([index]))
            correct = np.argmax(logits_fn(adversarial)[0]) == label
        robust.append(correct)
    return np.array(robust)


def test_equals_a_plain_loop(network, images, labels, parse):
    evaluation = evaluate(
        network, images, labels, parse(*TEXTS[1:3]), THREAT, batch_size=16, seed=7
    )
    for result, attack, name in zip(evaluation.attacks, (pgd, cw), ("pgd", "cw"), strict=True):
        expected = _one_by_one(network, images, labels, attack, name, 5)
        assert 0.1 < expected.mean() < 0.7
        np.testing.assert_array_equal(result.robust, expected)
        assert result.accuracy == expected.mean()
    assert evaluation.clean_accuracy == 82 / 103


@pytest.fixture(scope="module")
def whole(network, images, labels, parse):
    return evaluate(network, images, labels, parse(*TEXTS), THREAT, seed=7, keep_examples=True)


@pytest.mark.parametrize("batch_size", [7, 64, 500])
def test_batch_size_changes_nothing(network, images, labels, parse, whole, batch_size):
    other = evaluate(
        network,
        images,
        labels,
        parse(*TEXTS),
        THREAT,
        batch_size=batch_size,
        seed=7,
        keep_examples=True,
    )
    for one, two in zip(whole.attacks, other.attacks, strict=True):
        np.testing.assert_array_equal(one.robust, two.robust)
    # Sums in another order round differently and a sign may flip, hence no bitwise comparison.
    assert np.mean(np.abs(other.adversarial - whole.adversarial) > 1e-5) < 0.01


def test_order_and_company_change_nothing(network, images, labels, parse, whole):
    order = np.random.default_rng(3).permutation(len(images))
    alone = evaluate(
        network,
        images[order],
        labels[order],
        parse(TEXTS[1]),
        THREAT,
        batch_size=32,
        seed=7,
        indices=order,
        keep_examples=True,
    )
    np.testing.assert_array_equal(alone.attacks[0].robust, whole.attacks[1].robust[order])


def test_seed_changes_the_random_start(network, images, labels, parse):
    first, again, other = (
        evaluate(
            network, images, labels, parse("pgd(steps=1)"), THREAT, seed=seed, keep_examples=True
        ).adversarial
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_worst_case_is_the_pointwise_minimum(whole):
    masks = [result.robust for result in whole.attacks]
    assert len({mask.tobytes() for mask in masks}) == len(masks)
    np.testing.assert_array_equal(whole.robust, np.all([whole.clean_correct, *masks], axis=0))
    assert whole.worst_case_accuracy == whole.robust.mean()
    assert all(whole.clean_accuracy >= result.accuracy for result in whole.attacks)


def test_examples_are_those_of_the_worst_case(network, images, labels, parse, whole):
    clean = images / np.float32(255.0)
    predictions = network(whole.adversarial, training=False).numpy().argmax(axis=1)
    np.testing.assert_array_equal(predictions == labels, whole.robust)
    np.testing.assert_array_equal(
        whole.adversarial[~whole.clean_correct], clean[~whole.clean_correct]
    )
    assert np.abs(whole.adversarial - clean).max() <= 0.05 + 1e-6
    alone = [
        evaluate(network, images, labels, parse(text), THREAT, seed=7, keep_examples=True)
        for text in TEXTS
    ]
    by_first = whole.clean_correct & ~whole.attacks[0].robust
    by_second = whole.attacks[0].robust & ~whole.attacks[1].robust
    for rows, source in ((by_first, 0), (by_second, 1), (whole.robust, 3)):
        assert rows.any()
        np.testing.assert_array_equal(whole.adversarial[rows], alone[source].adversarial[rows])


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_epsilon_zero_is_clean(network, images, labels, parse, norm):
    attacks = parse("fgsm", *TEXTS[1:3])
    evaluation = evaluate(network, images, labels, attacks, Threat(norm, 0.0), batch_size=16)
    for result in evaluation.attacks:
        np.testing.assert_array_equal(result.robust, evaluation.clean_correct)
        assert result.settings["step_size"] == 0.0


def test_epsilon_zero_is_clean_though_the_batch_matters(images, parse):
    """Rounding can depend on an image's row; here, in caricature, the prediction is the row's."""

    def model(batch):
        return tf.one_hot(tf.range(tf.shape(batch)[0]) % 2, 2) + 0.0 * batch[:, 0, 0]

    labels = np.zeros(len(images), int)
    evaluation = evaluate(model, images, labels, parse("pgd"), Threat("linf", 0.0), batch_size=16)
    assert evaluation.attacks[0].accuracy == evaluation.clean_accuracy == 52 / 103


@pytest.mark.parametrize(("norm", "largest"), [("linf", 0.4), ("l2", 2.0)])
def test_accuracy_falls_with_epsilon(network, images, labels, parse, norm, largest):
    accuracies = [
        evaluate(network, images, labels, parse("pgd(steps=10)"), Threat(norm, epsilon))
        .attacks[0]
        .accuracy
        for epsilon in (0.0, largest / 8, largest)
    ]
    assert accuracies[0] == 82 / 103
    assert accuracies[0] > accuracies[1] > accuracies[2]
    assert accuracies[2] == 0.0


def test_curve_equals_the_evaluations_and_traces_once(network, images, labels, parse):
    traces = []

    def model(batch):
        traces.append(batch)
        return network(batch, training=False)

    (spec,), options = parse("pgd(steps=3)"), {"batch_size": 128, "seed": 2}
    first, second = (Trial(model, images, labels, **options) for _ in range(2))
    before = len(traces)
    points = accuracy_curve(first, spec, THREAT, fractions=(0, 1, 0.5))
    traced = len(traces) - before
    longer = accuracy_curve(second, spec, THREAT, fractions=(0, 0.1, 0.5, 1, 2))
    assert len(traces) - before == 2 * traced
    assert [epsilon for epsilon, _ in points] == [0.0, 0.025, 0.05]
    assert longer[2] == points[1]
    for epsilon, accuracy in points[1:]:
        single = evaluate(network, images, labels, [spec], Threat("linf", epsilon), seed=2)
        assert accuracy == single.attacks[0].accuracy
    assert points[0] == (0.0, 82 / 103)


@pytest.mark.parametrize("text", ["pgd(steps=2,restarts=5)", "square(queries=250)"])
def test_a_curve_runs_all_rounds_of_its_attack(network, images, labels, parse, text):
    (spec,) = parse(text)
    ((_, accuracy),) = accuracy_curve(
        Trial(network, images, labels, batch_size=128, seed=0), spec, THREAT, fractions=(1,)
    )
    whole = evaluate(network, images, labels, [spec], THREAT).attacks[0].accuracy
    assert accuracy == whole


def test_curve_is_capped_at_the_box(network, images, labels, parse):
    trial = Trial(network, images[:20], labels[:20], batch_size=20, seed=0)
    points = accuracy_curve(trial, *parse("fgsm"), Threat("linf", 0.8), fractions=(1, 1.5, 2))
    assert [epsilon for epsilon, _ in points] == [0.8, 1.0]


def test_progress_counts_up(network, images, labels, parse):
    calls = []
    evaluation = evaluate(
        network,
        images,
        labels,
        parse("pgd(steps=5)"),
        THREAT,
        batch_size=32,
        progress=calls.append,
    )
    assert [(call.attack, call.done, call.total) for call in calls] == [
        ("pgd(steps=5)", done, 82) for done in (32, 64, 82)
    ]
    assert calls[-1].standing == evaluation.attacks[0].robust.sum()
    assert calls[0].standing > 50
    assert calls[0].seconds_left > 0.0
    assert calls[-1].seconds_left == 0.0


def test_settings_are_resolved(network, images, labels, parse):
    evaluation = evaluate(
        network,
        images[:8],
        labels[:8],
        parse("fgsm", "bim(steps=4)", "pgd(steps=10, step_size=1/255)", "cw"),
        Threat("linf", 8 / 255),
        seed=5,
    )
    common = {"returned": "last iterate", "access": "gradients", "seed": 5}
    fgsm, bim, given, cw_settings = (result.settings for result in evaluation.attacks)
    step = {"steps": 1, "random_start": False, "step_size": pytest.approx(8 / 255)}
    assert fgsm == common | step
    assert bim == common | {
        "steps": 4,
        "step_size": pytest.approx(5 / 255),
        "random_start": False,
    }
    assert given["step_size"] == pytest.approx(1 / 255)
    assert (given["steps"], given["random_start"], given["objective"]) == (10, True, "ce")
    assert evaluation.attacks[2].text == "pgd(steps=10,step_size=1/255)"
    assert cw_settings == common | {
        "steps": 20,
        "step_size": pytest.approx(1 / 255),
        "restarts": 1,
        "kappa": 0.0,
        "random_start": True,
    }


def test_no_attacks_give_clean_accuracy(network, images, labels):
    evaluation = evaluate(network, images, labels, [], THREAT)
    assert evaluation.worst_case_accuracy == evaluation.clean_accuracy == 82 / 103


def test_nothing_classified_correctly(network, images, labels, parse):
    wrong = (labels + 2) % 4
    rows = np.arange(len(images)) % 5 != 0
    evaluation = evaluate(network, images[rows], wrong[rows], parse("pgd(steps=2)"), THREAT)
    assert evaluation.clean_accuracy == evaluation.attacks[0].accuracy == 0.0


def of_bytes():
    inputs = keras.Input((6, 6, 1), dtype="uint8")
    scaled = keras.layers.Rescaling(1 / 255)(inputs)
    return keras.Model(inputs, keras.layers.Dense(4)(keras.layers.Flatten()(scaled)))


def test_mistakes_are_named(network, images, labels, parse):
    def fails(match, model=network, x=images, y=labels, attacks=(), **options):
        with pytest.raises(UserError, match=match):
            evaluate(model, x, y, attacks, THREAT, **options)

    fails("twice", attacks=parse("fgsm", "fgsm"))
    fails("a label is 4, but the model knows 4 classes", y=np.where(labels == 3, 4, labels))
    fails("labels should be integers", y=labels - 1)
    fails(r"\[0, 1\]", x=images.astype(np.float32))
    fails("NaN or infinite", x=np.full(images.shape, np.nan, np.float32))
    fails("uint8 or floats", x=images.astype(np.int32))
    fails("the model takes uint8", model=of_bytes())
    fails("no images", x=images[:0], y=labels[:0])
    fails(r"labels \[N\]", y=labels[:5])
    fails(r"indices should be \[103\]", indices=np.arange(5))
    fails("the model takes images", x=np.zeros((103, 8, 8, 1), np.uint8))
    fails("batch_size 0", batch_size=0)
    fails(r"logits \[B, K\]", model=lambda x: x)
    fails("NaN or infinite on 103 of 103", model=lambda x: network(x) * np.nan)


@pytest.mark.parametrize("box", [(0.0, 255.0), (-1.0, 1.0)])
@pytest.mark.parametrize("as_bytes", [True, False])
def test_another_box_gives_the_same_figures(network, images, labels, parse, whole, box, as_bytes):
    low, high = box
    threat = Threat("linf", THREAT.epsilon * (high - low), low, high)
    pixels = images if as_bytes else np.float32(low + (high - low) * (images / 255))
    found = evaluate(
        lambda x: network((x - low) / (high - low), training=False),
        pixels,
        labels,
        parse(TEXTS[1]),
        threat,
        seed=7,
        keep_examples=True,
    )
    assert found.clean_accuracy == whole.clean_accuracy
    assert (found.attacks[0].robust != whole.attacks[1].robust).sum() <= 1  # of 103, by rounding
    assert np.abs(found.adversarial).max() > 0.9 * high
    attacked = Trial(network, images, labels, batch_size=16, seed=0).attack(
        members_of(parse("fgsm")[0], 4)[0], threat
    )
    with pytest.raises(UserError, match="the threat's box is"):
        next(attacked)


def test_pixels_just_outside_the_box_are_clipped(network, images, labels, parse):
    floats = images.astype(np.float32) / np.float32(255)
    wider = np.where(floats == 1, np.float32(1.0005), floats)
    inside, found = (
        evaluate(network, x, labels, parse("fgsm"), THREAT, keep_examples=True)
        for x in (floats, wider)
    )
    np.testing.assert_array_equal(inside.adversarial, found.adversarial)
    with pytest.raises(UserError, match=r"images: pixels range from 0 to 1\.01, .* \[0, 1\]"):
        evaluate(network, np.where(floats == 1, 1.01, floats), labels, parse("fgsm"), THREAT)


def test_some_examples_may_be_kept_alone(network, images, labels, parse, whole):
    rows = np.array([40, 3, 77, 12])
    found = evaluate(network, images, labels, parse(*TEXTS), THREAT, seed=7, keep_examples=rows)
    np.testing.assert_array_equal(found.kept, rows)
    np.testing.assert_array_equal(found.adversarial, whole.adversarial[rows])
    np.testing.assert_array_equal(found.adversarial_of(rows[::-1]), whole.adversarial[rows[::-1]])
    np.testing.assert_array_equal(found.predictions, whole.predictions)
