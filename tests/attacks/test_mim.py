import numpy as np
import pytest
import tensorflow as tf

from anchor_tf.attacks.mim import mim
from anchor_tf.errors import UserError
from anchor_tf.losses.classification import margin
from anchor_tf.threat import Threat
from tests.references import apgd as reference

pytestmark = pytest.mark.numeric


def linear():
    weights = np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32)
    return weights, lambda x: tf.reshape(x - 0.5, [-1, 16]) @ weights


def examples(logits_fn, count=20):
    x = np.random.default_rng(1).uniform(0.3, 0.7, size=(count, 4, 4, 1)).astype(np.float32)
    x = tf.constant(x)
    return x, tf.argmax(logits_fn(x), axis=-1, output_type=tf.int32)


def loop(network, x, label, norm, epsilon, steps, step_size, decay):
    """The method in float64 on one image [D]."""
    point, momentum = x, np.zeros_like(x)
    for _ in range(steps):
        _, gradient = reference.cross_entropy(network.logits(point), label)
        gradient = network.input_gradient(point, gradient)
        momentum = decay * momentum + gradient / np.abs(gradient).sum()
        if norm == "linf":
            delta = np.clip(point + step_size * np.sign(momentum) - x, -epsilon, epsilon)
        else:
            delta = point + step_size * momentum / np.linalg.norm(momentum) - x
            delta *= min(1.0, epsilon / np.linalg.norm(delta))
        point = np.clip(x + delta, 0, 1)
    return point


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    ("arguments", "steps", "step_size", "decay"),
    [
        ({}, 10, 0.02, 1.0),
        ({"steps": 4}, 4, 0.05, 1.0),
        ({"step_size": 0.07, "decay": 0.5}, 10, 0.07, 0.5),
        ({"step_size": 0.07, "decay": 0.0}, 10, 0.07, 0.0),
    ],
)
def test_equals_the_loop(norm, arguments, steps, step_size, decay):
    network = reference.Network(slope=2.0)
    x = np.random.default_rng(1).uniform(0.05, 0.95, (20, 12))
    y = np.argmax([network.logits(row) for row in x], axis=1)
    inner, outer = np.float32(network.inner.T), np.float32(network.outer.T)
    inner_bias, outer_bias = np.float32(network.inner_bias), np.float32(network.outer_bias)

    def logits_fn(images):
        return tf.tanh((images - 0.5) @ inner + inner_bias) @ outer + outer_bias

    threat = Threat(norm, 0.2)
    wanted = [
        loop(network, *row, norm, 0.2, steps, step_size, decay) for row in zip(x, y, strict=True)
    ]
    x, y = tf.constant(x, tf.float32), tf.constant(y, tf.int32)
    eager = mim(logits_fn, x, y, threat, **arguments)
    np.testing.assert_allclose(eager, wanted, atol=1e-4)
    graph = tf.function(lambda x, y: mim(logits_fn, x, y, threat, **arguments))(x, y)
    np.testing.assert_allclose(graph, eager, atol=1e-5)


@pytest.mark.parametrize(("norm", "dual_order"), [("linf", 1), ("l2", 2)])
def test_flips_just_above_the_distance_and_not_just_below(norm, dual_order):
    weights, logits_fn = linear()
    x, y = examples(logits_fn)
    slope = np.linalg.norm(weights[:, 0] - weights[:, 1], ord=dual_order)
    distances = -margin(logits_fn(x), y).numpy() / slope
    near = np.flatnonzero(distances < 0.3)  # the box is further away than the boundary
    assert len(near) >= 5
    for place in near:
        one, label = x[place : place + 1], y[place : place + 1]
        for factor, broken in ((1.02, True), (0.99, False)):
            perturbed = mim(logits_fn, one, label, Threat(norm, factor * distances[place]))
            assert (margin(logits_fn(perturbed), label).numpy()[0] > 0) == broken


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.6), ("l2", 2.0), ("l2", 0.0)])
def test_stays_inside_ball_and_box(norm, epsilon):
    _, logits_fn = linear()
    x, y = examples(logits_fn)
    threat = Threat(norm, epsilon)
    perturbed = mim(logits_fn, x, y, threat, step_size=0.5)
    assert np.max(threat.distance(perturbed, x)) <= (epsilon + 1e-6 if epsilon else 0.0)
    assert np.min(perturbed) >= 0.0
    assert np.max(perturbed) <= 1.0


def test_stays_at_x_init_where_there_is_no_gradient():
    x = tf.fill([1, 4, 4, 1], 0.5)
    constant = lambda images: tf.zeros([1, 2]) + 0.0 * tf.reduce_sum(images)  # noqa: E731
    for start, wanted in ((x + 0.03, x + 0.03), (x + 0.3, x + 0.1), (None, x)):
        result = mim(constant, x, tf.constant([0]), Threat("linf", 0.1), x_init=start)
        np.testing.assert_allclose(result, wanted, atol=1e-6)


@pytest.mark.parametrize("arguments", [{"steps": 0}, {"step_size": 0.0}, {"decay": -0.1}])
def test_bad_arguments_are_refused(arguments):
    _, logits_fn = linear()
    x, y = examples(logits_fn)
    with pytest.raises(UserError, match="at least 1"):
        mim(logits_fn, x, y, Threat("linf", 0.1), **arguments)
