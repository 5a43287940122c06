"""FAB against linear models, whose nearest boundary is known, and a float64 run of its own."""

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.attacks import fab as module
from anchor_tf.attacks.fab import fab
from anchor_tf.errors import UserError
from anchor_tf.losses.classification import margin
from anchor_tf.threat import Threat
from tests.references import fab as reference

pytestmark = pytest.mark.numeric

DEFAULTS = {"steps": 100, "targets": 9, "restarts": 1, "targeted": True}
DEFAULTS |= {"alpha_max": 0.1, "eta": 1.05, "beta": 0.9}
NORMS = [("linf", 1), ("l2", 2)]


def linear(classes=2, seed=0):
    weights = np.random.default_rng(seed).normal(size=(16, classes)).astype(np.float32)
    return weights, lambda x: tf.reshape(x - 0.5, [-1, 16]) @ weights


def examples(logits_fn, count=20, seed=1):
    x = np.random.default_rng(seed).uniform(0.3, 0.7, size=(count, 4, 4, 1)).astype(np.float32)
    x = tf.constant(x)
    return x, tf.argmax(logits_fn(x), axis=-1, output_type=tf.int32)


def radii(weights, logits_fn, x, y, dual_order):
    """Distance of each example to each other class of a linear model, [B, K]; infinite to y."""
    logits, y = logits_fn(x).numpy(), y.numpy()
    rows = np.arange(len(y))
    gaps = logits[rows, y][:, None] - logits
    slopes = np.linalg.norm(weights[:, y].T[:, None] - weights.T[None], ord=dual_order, axis=2)
    with np.errstate(invalid="ignore"):
        distances = gaps / slopes
    distances[rows, y] = np.inf
    return distances


def broken(logits_fn, perturbed, y):
    return margin(logits_fn(perturbed), y).numpy() > 0


@pytest.mark.parametrize(("norm", "dual_order"), NORMS)
def test_binary_nearest_boundary(norm, dual_order):
    weights, logits_fn = linear()
    x, y = examples(logits_fn)
    nearest = radii(weights, logits_fn, x, y, dual_order).min(axis=1)
    near = np.flatnonzero(nearest < 0.3)  # the box is further away than the boundary
    assert len(near) >= 5
    perturbed = fab(logits_fn, x, y, Threat(norm, 1.0), steps=20)
    ratio = Threat(norm, 1.0).distance(perturbed, x).numpy()[near] / nearest[near]
    assert np.all(broken(logits_fn, perturbed, y)[near])
    assert ratio.min() >= 1.0 - 1e-5
    assert ratio.max() < 1.02


@pytest.mark.parametrize(("norm", "dual_order"), NORMS)
def test_each_target_of_a_linear_model(norm, dual_order):
    """With three classes every boundary is tried; the nearest is found, whatever its rank."""
    weights, logits_fn = linear(classes=3)
    x, y = examples(logits_fn)
    threat = Threat(norm, 1.0)
    distances = radii(weights, logits_fn, x, y, dual_order).min(axis=1)
    near = np.flatnonzero(distances < 0.3)
    assert len(near) >= 5
    rounds = module.rounds(**DEFAULTS | {"steps": 30})
    attack = tf.function(lambda n: rounds.attack(logits_fn, x, y, threat, None, None, n))
    found = []
    for number in (0, 1):
        perturbed = attack(tf.constant(number))
        distance = threat.distance(perturbed, x).numpy()
        found.append(np.where(broken(logits_fn, perturbed, y), distance, np.inf))
    ratio = np.min(found, axis=0)[near] / distances[near]
    assert ratio.min() >= 1.0 - 1e-5
    assert ratio.max() < 1.02
    assert np.any(found[1][near] < 0.97 * found[0][near])  # the second rank is nearer for some


@pytest.mark.parametrize(("norm", "dual_order"), NORMS)
@pytest.mark.parametrize("classes", [2, 5])
def test_flips_just_above_the_distance_and_not_just_below(norm, dual_order, classes):
    weights, logits_fn = linear(classes)
    x, y = examples(logits_fn, count=30)
    distances = radii(weights, logits_fn, x, y, dual_order).min(axis=1)
    near = np.flatnonzero((distances < 0.25) & (distances > 0.005))[:5]
    assert len(near) == 5

    @tf.function
    def attack(image, label, epsilon):
        threat = Threat(norm, 0.0).with_epsilon(epsilon)
        return fab(logits_fn, image, label, threat, steps=40, targets=4)

    for place in near:
        one, label = x[place : place + 1], y[place : place + 1]
        for factor, expected in ((1.03, True), (0.98, False)):
            perturbed = attack(one, label, tf.constant(factor * distances[place], tf.float32))
            assert broken(logits_fn, perturbed, label)[0] == expected


def network(seed=0):
    """A smooth network in float32 for the attack and in float64 for the reference."""
    generator = np.random.default_rng(seed)
    first, second = generator.normal(size=(16, 12)), generator.normal(size=(12, 4))

    def logits_fn(x):
        hidden = tf.tanh(tf.reshape(x - 0.5, [-1, 16]) @ tf.constant(first, tf.float32))
        return hidden @ tf.constant(second, tf.float32)

    def logits(image):
        return np.tanh((image - 0.5) @ first) @ second

    def jacobian(image):
        return ((1 - np.tanh((image - 0.5) @ first) ** 2) * second.T) @ first.T

    return logits_fn, logits, jacobian


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(("steps", "targeted"), [(1, True), (12, True), (12, False)])
def test_equals_a_float64_run(norm, steps, targeted):
    logits_fn, logits, jacobian = network()
    x = tf.constant(np.random.default_rng(3).uniform(size=(12, 4, 4, 1)), tf.float32)
    y = tf.argmax(logits_fn(x), axis=-1, output_type=tf.int32)
    threat = Threat(norm, 1.0 if norm == "linf" else 100.0)
    rounds = module.rounds(**DEFAULTS | {"steps": steps, "targeted": targeted})
    attack = tf.function(lambda n: rounds.attack(logits_fn, x, y, threat, None, None, n))
    for number in range(3 if targeted else 1):
        ours, found = attack(tf.constant(number)), 0
        for place, image in enumerate(np.float64(x).reshape(12, 16)):
            order = [k for k in np.argsort(-logits(image)) if k != y[place]]
            expected, distance = reference.run(
                image, y[place], order[number] if targeted else None, logits, jacobian, norm, steps
            )
            found += distance < 1e10
            np.testing.assert_allclose(ours[place].numpy().ravel(), expected, atol=1e-4)
        assert found >= (1 if steps == 1 else 9)


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 0.4)])
def test_stays_inside_ball_and_box(norm, epsilon):
    _, logits_fn = linear(classes=5)
    x = tf.constant(np.random.default_rng(1).uniform(size=(40, 4, 4, 1)), tf.float32)
    y = tf.argmax(logits_fn(x), axis=-1, output_type=tf.int32)
    threat = Threat(norm, epsilon)
    perturbed = fab(logits_fn, x, y, threat, 3, steps=10, targets=2, restarts=2)
    distance = threat.distance(perturbed, x).numpy()
    assert distance.max() <= epsilon + 1e-6
    assert distance.max() > 0.95 * epsilon
    assert np.min(perturbed) >= 0.0
    assert np.max(perturbed) <= 1.0
    assert 0.2 < broken(logits_fn, perturbed, y).mean() < 1.0


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_epsilon_zero_changes_nothing(norm):
    _, logits_fn = linear()
    x, y = examples(logits_fn)
    np.testing.assert_array_equal(fab(logits_fn, x, y, Threat(norm, 0.0), steps=3), x)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_depends_on_the_example_key_alone(norm):
    _, logits_fn = linear(classes=5)
    x, y = examples(logits_fn)
    keys = keyed_random.example_keys(1, 0, tf.range(100, 120))
    threat, settings = Threat(norm, 0.05), {"steps": 5, "targets": 2, "restarts": 2}
    whole = fab(logits_fn, x, y, threat, keys, **settings)
    part = fab(logits_fn, x[5:9], y[5:9], threat, keys[5:9], **settings)
    np.testing.assert_allclose(whole[5:9], part, atol=1e-6)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_restart_begins_half_a_radius_away(norm):
    """A network without slope that calls every image but x misclassified: the start is kept."""

    def pocket(images):
        moved = tf.reduce_any(images != 0.5, axis=[1, 2, 3])
        logit = tf.where(moved, 1.0, -1.0) + 0.0 * tf.reduce_sum(images, axis=[1, 2, 3])
        return tf.stack([tf.zeros_like(logit), logit], axis=1)

    x, y, threat = tf.fill([8, 4, 4, 1], 0.5), tf.zeros([8], tf.int32), Threat(norm, 0.2)
    rounds = module.rounds(**DEFAULTS | {"steps": 1, "targets": 1, "restarts": 3, "alpha_max": 0.0})
    assert list(rounds.numbers) == [0, 1, 2]
    keys = keyed_random.as_keys(0, x)
    first, second, third = (
        rounds.attack(pocket, x, y, threat, keys, None, tf.constant(number)).numpy()
        for number in rounds.numbers
    )
    np.testing.assert_array_equal(first, x)
    np.testing.assert_allclose(threat.distance(second, x), 0.1, rtol=1e-5)
    assert np.abs(second - third).max() > 0.01
    assert np.abs(second[0] - second[1]).max() > 0.01


def test_untargeted_rounds_are_restarts_and_two_classes_leave_no_choice():
    _, logits_fn = linear()
    x, y = examples(logits_fn)
    rounds = module.rounds(**DEFAULTS | {"targeted": False, "restarts": 3})
    assert list(rounds.numbers) == [0, 1, 2]
    results = [
        fab(logits_fn, x, y, Threat("l2", 1.0), steps=5, targeted=targeted)
        for targeted in (True, False)
    ]
    np.testing.assert_allclose(*results, atol=1e-6)


@pytest.mark.parametrize("classes", [4, 10])
def test_passes_are_those_that_run(classes):
    _, logits_fn = linear(classes=classes)
    x, y = examples(logits_fn)
    for targeted in (True, False):
        settings = {"steps": 3, "targets": 2, "restarts": 2, "targeted": targeted}
        counter = tf.Variable(0)

        def counted(images, counter=counter):
            counter.assign_add(1)
            return logits_fn(images)

        threat, keys = Threat("linf", 0.0), keyed_random.as_keys(0, x)
        rounds = module.rounds(**DEFAULTS | settings)
        for number in rounds.numbers:
            rounds.attack(counted, x, y, threat, keys, None, tf.constant(number))
        assert int(counter) == sum(module.passes(classes=classes, **DEFAULTS | settings))


def test_ranks_beyond_the_classes_change_nothing_and_restarts_follow_targets():
    _, logits_fn = linear()
    x, y = examples(logits_fn)
    rounds = module.rounds(**DEFAULTS | {"steps": 2, "targets": 3, "restarts": 2})
    assert list(rounds.numbers) == list(range(6))
    assert not rounds.carry
    keys = keyed_random.as_keys(0, x)
    for number, moves in enumerate([True, False, False] * 2):
        perturbed = rounds.attack(
            logits_fn, x, y, Threat("linf", 0.3), keys, None, tf.constant(number)
        )
        assert np.any(perturbed != x) == moves


def test_one_trace_serves_all_rounds():
    """Three passes in the graph: the clean one, the boundary's with gradient, the check's."""
    weights, _ = linear(classes=5)
    calls = []

    def logits_fn(images):
        calls.append(images)
        return tf.reshape(images - 0.5, [-1, 16]) @ weights

    x, y = examples(logits_fn)
    calls.clear()
    rounds = module.rounds(**DEFAULTS | {"steps": 2})
    attack = tf.function(
        lambda number: rounds.attack(logits_fn, x, y, Threat("linf", 0.1), None, None, number)
    )
    for number in range(3):
        attack(tf.constant(number))
    assert len(calls) == 3


def test_graph_equals_eager_and_x_init_is_where_it_begins():
    _, logits_fn = linear(classes=5)
    x, y = examples(logits_fn)
    threat = Threat("linf", 0.05)
    attack = lambda x, y, init: fab(logits_fn, x, y, threat, 4, init, steps=3, targets=2)  # noqa: E731
    init = x + 0.02
    eager = attack(x, y, init)
    np.testing.assert_allclose(eager, tf.function(attack)(x, y, init), atol=1e-6)
    assert np.abs(eager - attack(x, y, x)).max() > 1e-3


def test_misclassified_images_and_huge_logits_are_finite():
    weights, _ = linear(classes=5)
    logits_fn = lambda x: 1e4 * tf.reshape(x, [-1, 16]) @ weights  # noqa: E731
    x, y = examples(logits_fn)
    perturbed = fab(logits_fn, x, (y + 1) % 5, Threat("l2", 0.1), steps=5)
    assert np.all(np.isfinite(perturbed))


@pytest.mark.parametrize(
    "arguments",
    [
        *[{"steps": 0}, {"targets": 0}, {"restarts": 0}, {"alpha_max": -0.1}],
        *[{"alpha_max": 1.1}, {"eta": 0.9}, {"beta": 0.0}, {"beta": 1.1}],
    ],
)
def test_bad_arguments_are_refused(arguments):
    _, logits_fn = linear()
    x, y = examples(logits_fn)
    with pytest.raises(UserError, match=next(iter(arguments))):
        fab(logits_fn, x, y, Threat("linf", 0.1), **arguments)


@pytest.mark.parametrize(
    ("norm", "epsilon", "settings"),
    [
        ("linf", 0.3, {"targets": 2}),
        ("l2", 1.0, {"targets": 2, "restarts": 2}),
        ("l2", 1.0, {"targeted": False}),
    ],
)
def test_a_misclassified_image_is_its_own_nearest_and_others_do_not_see_it(norm, epsilon, settings):
    _, logits_fn = linear(classes=4)
    x, y = examples(logits_fn)
    wrong = np.arange(len(x)) % 3 == 0
    attack = tf.function(lambda y: fab(logits_fn, x, y, Threat(norm, epsilon), steps=5, **settings))
    found = attack(tf.where(wrong, (y + 1) % 4, y)).numpy()
    np.testing.assert_array_equal(found[wrong], x[wrong])
    np.testing.assert_array_equal(found[~wrong], attack(y).numpy()[~wrong])


def test_a_misclassified_image_is_its_own_nearest_wherever_the_walk_begins():
    _, logits_fn = linear(classes=4)
    x, y = examples(logits_fn)
    found = fab(logits_fn, x, (y + 1) % 4, Threat("linf", 0.3), 0, x + 0.1, steps=5, targets=1)
    np.testing.assert_array_equal(found, x)
