"""CW-L2 against linear models, whose nearest misclassified point is known exactly."""

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.attacks.cw_l2 import cw_l2
from anchor_tf.errors import UserError
from anchor_tf.losses.classification import margin
from anchor_tf.threat import Threat

pytestmark = pytest.mark.numeric

FAR = Threat("l2", 100.0)


def linear(classes=2, seed=0, scale=1.0):
    weights = np.random.default_rng(seed).normal(size=(16, classes)).astype(np.float32)
    return weights, lambda x: scale * tf.reshape(x - 0.5, [-1, 16]) @ weights


def examples(logits_fn, low=0.3, high=0.7, count=30):
    x = np.random.default_rng(1).uniform(low, high, size=(count, 4, 4, 1)).astype(np.float32)
    x = tf.constant(np.clip(x, 0.0, 1.0))
    return x, tf.argmax(logits_fn(x), axis=-1, output_type=tf.int32)


def exact_distances(weights, x, y, kappa=0.0):
    """Distance from each image to margin kappa of a two-class linear model, inside the box.

    The nearest point is clip(x + t w) for the smallest t that reaches it, found by bisection.
    """
    x = x.numpy().reshape(-1, 16).astype(np.float64)
    sign = np.where(y.numpy() == 0, -1.0, 1.0)[:, None]
    ascent = sign * (weights[:, 0] - weights[:, 1]).astype(np.float64)[None]
    low, high = np.zeros([len(x), 1]), np.full([len(x), 1], 10.0)
    for _ in range(60):
        middle = (low + high) / 2
        reached = np.clip(x + middle * ascent, 0.0, 1.0) - 0.5
        short = np.sum(reached * ascent, axis=1, keepdims=True) < kappa
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return np.linalg.norm(np.clip(x + high * ascent, 0.0, 1.0) - x, axis=1)


def attacked(logits_fn, x, y, threat=FAR, **arguments):
    return tf.function(lambda x, y: cw_l2(logits_fn, x, y, threat, **arguments))(x, y)


def assert_nearly_exact(distances, exact):
    """Distances never below the optimum, and above it by 3 % at most."""
    # Steps of .01 cannot measure a distance that is much shorter.
    clear = exact > 0.02
    assert clear.sum() >= 20
    assert np.all(distances >= exact * (1.0 - 1e-5))
    np.testing.assert_array_less(distances[clear], 1.03 * exact[clear])


@pytest.mark.parametrize("initial_constant", [1e-3, 30.0])
def test_distance_is_that_of_the_boundary(initial_constant):
    weights, logits_fn = linear()
    x, y = examples(logits_fn)
    exact = exact_distances(weights, x, y)
    gaps = -margin(logits_fn(x), y).numpy()
    np.testing.assert_allclose(exact, gaps / np.linalg.norm(weights @ [1, -1]), rtol=1e-4)
    found = attacked(logits_fn, x, y, initial_constant=initial_constant)
    assert np.all(margin(logits_fn(found), y) > 0)
    assert_nearly_exact(FAR.distance(found, x).numpy(), exact)


def test_constant_grows_until_it_succeeds():
    """Logits a thousand times as small need a constant a thousand times as large."""
    weights, logits_fn = linear(scale=1e-3)
    x, y = examples(logits_fn)
    found = attacked(logits_fn, x, y, binary_search_steps=12)
    assert_nearly_exact(FAR.distance(found, x).numpy(), exact_distances(weights, x, y))


def test_distance_where_the_box_binds():
    """Most pixels are black or white; those pushed outwards stay, the others come loose."""
    weights, logits_fn = linear()
    x, y = examples(logits_fn, low=-1.0, high=2.0)
    assert np.mean((x.numpy() == 0.0) | (x.numpy() == 1.0)) > 0.5
    exact = exact_distances(weights, x, y)
    near = exact < 1.0
    assert near.sum() >= 10
    distances = FAR.distance(attacked(logits_fn, x, y), x).numpy()
    assert np.all(distances >= exact - 1e-5)
    np.testing.assert_array_less(distances[near], 1.1 * exact[near] + 0.01)


def test_broken_just_above_the_distance_and_not_just_below():
    weights, logits_fn = linear()
    x, y = examples(logits_fn)
    exact = exact_distances(weights, x, y)

    @tf.function
    def margins(radius):
        return margin(logits_fn(cw_l2(logits_fn, x, y, Threat("l2", radius))), y)

    places = np.flatnonzero(exact > 0.02)[:8]
    for place in places:
        assert margins(tf.constant(1.03 * exact[place], tf.float32))[place] > 0
        assert margins(tf.constant(0.98 * exact[place], tf.float32))[place] <= 0


def test_kappa_is_how_far_past_the_boundary_a_success_lies():
    weights, logits_fn = linear()
    x, y = examples(logits_fn)
    found = attacked(logits_fn, x, y, kappa=0.8)
    reached = margin(logits_fn(found), y).numpy()
    assert np.all(reached > 0.8)
    assert np.all(reached < 0.9)
    assert_nearly_exact(FAR.distance(found, x).numpy(), exact_distances(weights, x, y, kappa=0.8))


def test_without_a_success_the_largest_margin_within_reach():
    """One class has no point in the box: what is returned is the best attempt, projected."""
    weights, logits_fn = linear()
    shifted = lambda x: logits_fn(x) + tf.constant([100.0, 0.0])  # noqa: E731
    x, _ = examples(logits_fn)
    y = tf.zeros([len(x)], tf.int32)
    found = attacked(shifted, x, y, Threat("l2", 0.3))
    np.testing.assert_allclose(FAR.distance(found, x), 0.3, rtol=1e-5)
    gained = (margin(shifted(found), y) - margin(shifted(x), y)).numpy()
    # Adam moves all pixels alike, not along the gradient: more than half the best gain it must be.
    assert np.all(gained > 0.5 * 0.3 * np.linalg.norm(weights @ [1, -1]))


def test_steps_have_the_length_of_the_learning_rate_in_tanh_space():
    """As Adam's first ones do when its moments are corrected for having begun at zero."""
    weights, logits_fn = linear()
    hopeless = lambda x: logits_fn(x) + tf.constant([100.0, 0.0])  # noqa: E731
    x, _ = examples(logits_fn)
    y = tf.zeros([len(x)], tf.int32)
    found = attacked(hopeless, x, y, steps=3, binary_search_steps=1, initial_constant=10.0)
    moved = np.arctanh(2.0 * found.numpy() - 1.0) - np.arctanh(2.0 * x.numpy() - 1.0)
    direction = np.sign(weights @ [-1.0, 1.0]).reshape(1, 4, 4, 1)
    np.testing.assert_allclose(moved, 0.02 * np.tile(direction, [len(x), 1, 1, 1]), rtol=0.02)


def test_a_misclassified_image_is_left_where_it_is():
    _, logits_fn = linear()
    x, y = examples(logits_fn)
    np.testing.assert_array_equal(attacked(logits_fn, x, 1 - y), x)
    black = tf.zeros([len(x), 4, 4, 1])  # where tanh space cannot reach
    y = tf.argmax(logits_fn(black), axis=-1, output_type=tf.int32)
    np.testing.assert_array_equal(attacked(logits_fn, black, 1 - y), black)


def test_others_in_the_batch_do_not_see_a_misclassified_image():
    _, logits_fn = linear()
    x, y = examples(logits_fn)
    mixed = tf.where(tf.range(len(x)) % 3 == 0, 1 - y, y)
    found, alone = attacked(logits_fn, x, mixed), attacked(logits_fn, x, y)
    np.testing.assert_array_equal(found[mixed == y], alone[mixed == y])


@pytest.mark.parametrize(("low", "high"), [(0.0, 255.0), (-1.0, 1.0), (0.0, 1000.0), (2.0, 2.5)])
def test_another_box_gives_the_same_distances_in_widths_of_it(low, high):
    weights, logits_fn = linear()
    x, y = examples(logits_fn)
    width = high - low
    threat = Threat("l2", 100.0 * width, low, high)
    found = attacked(lambda images: logits_fn((images - low) / width), low + width * x, y, threat)
    distances = threat.distance(found, low + width * x).numpy() / width
    assert_nearly_exact(distances, exact_distances(weights, x, y))


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 0.3)])
def test_stays_inside_ball_and_box(norm, epsilon):
    _, logits_fn = linear(classes=5)
    x, y = examples(logits_fn, low=-0.5, high=1.5)
    threat = Threat(norm, epsilon)
    found = attacked(logits_fn, x, y, threat, steps=50)
    assert np.max(threat.distance(found, x)) <= epsilon + 1e-6
    assert np.min(found) >= 0.0
    assert np.max(found) <= 1.0
    assert np.mean(margin(logits_fn(found), y) > 0) > 0.1


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_epsilon_zero_changes_nothing(norm):
    _, logits_fn = linear()
    x, y = examples(logits_fn, low=-0.5, high=1.5)
    found = attacked(logits_fn, x, y, Threat(norm, 0.0), steps=20, binary_search_steps=4)
    np.testing.assert_array_equal(found, x)


def test_an_example_does_not_depend_on_its_batch():
    _, logits_fn = linear(classes=5)
    x, y = examples(logits_fn)
    whole = attacked(logits_fn, x, y)
    for first, last in ((0, 1), (5, 12)):
        part = attacked(logits_fn, x[first:last], y[first:last])
        np.testing.assert_allclose(part, whole[first:last], atol=1e-4)


def test_begins_at_x_init():
    constant = lambda images: tf.zeros([2, 2]) + 0.0 * tf.reduce_sum(images)  # noqa: E731
    x = tf.fill([2, 4, 4, 1], 0.5)
    found = cw_l2(constant, x, tf.zeros([2], tf.int32), FAR, 0, x + 0.2, steps=1)
    np.testing.assert_allclose(found, x + 0.2, atol=1e-6)


def test_finite_at_huge_logits():
    _, logits_fn = linear(classes=5, scale=1e4)
    x, y = examples(logits_fn, low=-0.5, high=1.5)
    found = attacked(logits_fn, x, y, initial_constant=10.0)
    assert np.all(np.isfinite(found))
    assert np.all(margin(logits_fn(found), y) > 0)


def test_graph_equals_eager():
    _, logits_fn = linear(classes=5)
    x, y = examples(logits_fn)
    few = {"steps": 10, "binary_search_steps": 5}
    eager = cw_l2(logits_fn, x, y, Threat("l2", 0.3), **few)
    np.testing.assert_allclose(
        eager, attacked(logits_fn, x, y, Threat("l2", 0.3), **few), atol=1e-5
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"binary_search_steps": 0},
        {"steps": 0},
        {"kappa": -0.1},
        {"learning_rate": 0.0},
        {"initial_constant": 0.0},
    ],
)
def test_bad_arguments_are_refused(arguments):
    _, logits_fn = linear()
    x, y = examples(logits_fn)
    with pytest.raises(UserError, match=next(iter(arguments))):
        cw_l2(logits_fn, x, y, FAR, **arguments)
