import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.errors import UserError
from anchor_tf.threat import Threat

pytestmark = pytest.mark.numeric


def images(count=16, seed=0):
    return tf.constant(np.random.default_rng(seed).uniform(size=(count, 4, 4, 3)), tf.float32)


@pytest.mark.parametrize(("norm", "order"), [("linf", np.inf), ("l2", 2)])
def test_distance_is_the_norm_of_the_difference(norm, order):
    a, b = images(), images(seed=1)
    difference = (a - b).numpy().reshape(16, -1)
    expected = np.linalg.norm(difference, ord=order, axis=1)
    np.testing.assert_allclose(Threat(norm, 0.1).distance(a, b), expected, rtol=1e-6)


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 0.5)])
def test_projection_lands_inside_and_leaves_the_inside_alone(norm, epsilon):
    x, threat = images(), Threat(norm, epsilon)
    far = x + 3.0 * (images(seed=1) - 0.5)
    projected = threat.project(far, x)
    assert np.max(threat.distance(projected, x)) <= epsilon + 1e-6
    assert np.max(threat.distance(projected, x)) > 0.9 * epsilon
    assert np.min(projected) >= 0.0
    assert np.max(projected) <= 1.0
    np.testing.assert_allclose(threat.project(projected, x), projected, atol=1e-6)


def test_l2_projection_keeps_the_direction():
    x = tf.fill([1, 2, 2, 1], 0.5)
    delta = tf.reshape(tf.constant([3.0, 0.0, 4.0, 0.0]), [1, 2, 2, 1])
    projected = Threat("l2", 0.1).project(x + delta, x)
    np.testing.assert_allclose((projected - x).numpy().ravel(), [0.06, 0, 0.08, 0], atol=1e-6)


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 0.5)])
def test_random_start_spreads_over_the_ball(norm, epsilon):
    x, threat = tf.fill([500, 4, 4, 3], 0.5), Threat(norm, epsilon)
    keys = keyed_random.example_keys(0, 0, tf.range(500))
    start = threat.random_start(x, keys)
    distances = threat.distance(start, x).numpy()
    assert distances.max() <= epsilon + 1e-6
    delta = (start - x).numpy()
    assert abs(delta.mean()) < 0.01 * epsilon
    if norm == "linf":
        assert abs(delta.std() - epsilon / np.sqrt(3)) < 0.01 * epsilon
    else:  # the radius is distributed as u^(1/48)
        assert abs(distances.mean() - epsilon * 48 / 49) < 0.01 * epsilon


def test_steepest_step_has_unit_norm_and_maximises_the_inner_product():
    gradient = images() - 0.5
    flat = gradient.numpy().reshape(16, -1)
    linf = Threat("linf", 0.1).steepest(gradient).numpy().reshape(16, -1)
    np.testing.assert_allclose((linf * flat).sum(1), np.abs(flat).sum(1), rtol=1e-5)
    l2 = Threat("l2", 0.1).steepest(gradient).numpy().reshape(16, -1)
    np.testing.assert_allclose((l2 * flat).sum(1), np.linalg.norm(flat, axis=1), rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(l2, axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_steepest_step_of_tiny_and_zero_gradients(norm):
    gradient = tf.concat([tf.fill([1, 2, 2, 1], 1e-30), tf.zeros([1, 2, 2, 1])], axis=0)
    step = Threat(norm, 0.1).steepest(gradient).numpy()
    np.testing.assert_allclose(step[0].ravel(), 1.0 if norm == "linf" else 0.5, rtol=1e-5)
    np.testing.assert_array_equal(step[1], 0.0)


def test_epsilon_may_be_a_tensor():
    x = images()
    threat = Threat("linf", 0.1).with_epsilon(tf.constant(0.02))
    moved = threat.project(x + 1.0, x)
    assert np.max(threat.distance(moved, x)) <= 0.02 + 1e-6


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("norm", "epsilon", "message"),
    [
        ("l1", 0.1, "norm 'l1' is unknown"),
        ("linf", 1.5, "write 8/255 for eight"),
        ("linf", -0.1, "out of range"),
        ("linf", NAN, "out of range"),
        ("l2", -1, "out of range"),
        ("l2", INF, "out of range"),
        ("l2", NAN, "out of range"),
        ("linf", "8/255", "should be a number"),
        ("linf", None, "should be a number"),
        ("linf", tf.constant(-1.0), "out of range"),
        ("linf", tf.constant(8.0), "out of range"),
        ("l2", tf.constant(INF), "out of range"),
        ("l2", tf.constant(NAN), "out of range"),
        ("linf", tf.constant([0.1, 0.1]), "scalar"),
    ],
)
def test_bad_radii_are_refused(norm, epsilon, message):
    with pytest.raises(UserError, match=message):
        Threat(norm, epsilon)
    if norm != "l1":
        with pytest.raises(UserError, match=message):
            Threat(norm, 0.1).with_epsilon(epsilon)


@pytest.mark.parametrize(
    ("low", "high"), [(1.0, 0.0), (0.5, 0.5), (0.0, INF), (NAN, 1.0), ("0", None)]
)
def test_bad_boxes_are_refused(low, high):
    with pytest.raises(UserError, match=r"empty or infinite|should be a number"):
        Threat("linf", 0.0, low, high)


def test_radii_are_held_against_their_own_box():
    assert Threat("linf", 8.0, 0.0, 255.0).width == 255.0
    assert Threat("linf", tf.constant(0.3), 0.0, 0.3).width == 0.3  # rounded up, as a float32
    with pytest.raises(UserError, match="write 8 for eight"):
        Threat("linf", 256.0, 0.0, 255.0)


def test_a_constant_of_a_graph_is_checked_and_what_it_computes_is_not():
    @tf.function
    def project(radius, images):
        with pytest.raises(UserError, match="out of range"):
            Threat("linf", tf.constant(8.0))
        return Threat("linf", radius).project(images + 3.0, images)

    np.testing.assert_array_equal(project(tf.constant(0.25), tf.zeros([1, 2, 2, 1])), 0.25)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_start_may_be_wider_than_the_threat(norm):
    """A radius of its own changes the ball and nothing else."""
    x, keys = images(), keyed_random.example_keys(0, 0, tf.range(16))
    wide = Threat(norm, 0.4).random_start(x, keys)
    np.testing.assert_array_equal(Threat(norm, 0.2).random_start(x, keys, 2 * 0.2), wide)
