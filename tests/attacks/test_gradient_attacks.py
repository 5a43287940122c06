"""Attacks against linear models, whose optimum is known exactly."""

import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.attacks.apgd import apgd
from anchor_tf.attacks.bim import bim
from anchor_tf.attacks.cw import cw
from anchor_tf.attacks.cw_l2 import cw_l2
from anchor_tf.attacks.fab import fab
from anchor_tf.attacks.fgsm import fgsm
from anchor_tf.attacks.mim import mim
from anchor_tf.attacks.pgd import pgd
from anchor_tf.errors import UserError
from anchor_tf.losses.classification import margin
from anchor_tf.threat import Threat
from tests.slow_cases import slow_but

pytestmark = pytest.mark.numeric

ATTACKS = [fgsm, bim, pgd, cw]


def linear(classes=2, seed=0):
    weights = np.random.default_rng(seed).normal(size=(16, classes)).astype(np.float32)
    return weights, lambda x: tf.reshape(x - 0.5, [-1, 16]) @ weights


def examples(logits_fn, count=20, seed=1):
    x = np.random.default_rng(seed).uniform(0.3, 0.7, size=(count, 4, 4, 1)).astype(np.float32)
    x = tf.constant(x)
    return x, tf.argmax(logits_fn(x), axis=-1, output_type=tf.int32)


def radii(weights, logits_fn, x, y, dual_order):
    """Distance of each example to the boundary of a two-class linear model."""
    distance = -margin(logits_fn(x), y).numpy()
    return distance / np.linalg.norm(weights[:, 0] - weights[:, 1], ord=dual_order)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(("norm", "dual_order"), slow_but([("linf", 1)], [("linf", 1), ("l2", 2)]))
def test_flips_just_above_the_distance_and_not_just_below(attack, norm, dual_order):
    weights, logits_fn = linear()
    x, y = examples(logits_fn)
    distances = radii(weights, logits_fn, x, y, dual_order)
    near = np.flatnonzero(distances < 0.3)  # the box is further away than the boundary
    assert len(near) >= 5
    for place in near:
        radius = distances[place]
        one, label = x[place : place + 1], y[place : place + 1]
        for factor, broken in ((1.05, True), (0.98, False)):
            perturbed = attack(logits_fn, one, label, Threat(norm, factor * radius))
            assert (margin(logits_fn(perturbed), label).numpy()[0] > 0) == broken


@pytest.mark.parametrize("attack", [fgsm, bim, pgd])
def test_reaches_the_exact_optimum_inside_the_box(attack):
    weights, logits_fn = linear()
    x, y = examples(logits_fn)
    perturbed = attack(logits_fn, x, y, Threat("linf", 0.05))
    sign = np.where(y.numpy() == 0, -1.0, 1.0)[:, None]
    best = np.sign(weights[:, 0] - weights[:, 1])[None] * sign * 0.05
    np.testing.assert_allclose((perturbed - x).numpy().reshape(20, 16), best, atol=1e-6)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.6), ("l2", 2.0)])
def test_stays_inside_ball_and_box(attack, norm, epsilon):
    _, logits_fn = linear(classes=5)
    x, y = examples(logits_fn)
    threat = Threat(norm, epsilon)
    perturbed = attack(logits_fn, x, y, threat, 3)
    assert np.max(threat.distance(perturbed, x)) <= epsilon + 1e-6
    assert np.min(perturbed) >= 0.0
    assert np.max(perturbed) <= 1.0


@pytest.mark.parametrize("attack", ATTACKS)
def test_epsilon_zero_changes_nothing(attack):
    _, logits_fn = linear()
    x, y = examples(logits_fn)
    np.testing.assert_array_equal(attack(logits_fn, x, y, Threat("linf", 0.0)), x)


@pytest.mark.parametrize("attack", [pgd, cw])
def test_start_depends_on_the_example_key_alone(attack):
    _, logits_fn = linear(classes=5)
    x, y = examples(logits_fn)
    keys = keyed_random.example_keys(1, 0, tf.range(100, 120))
    threat = Threat("linf", 0.1)
    whole = attack(logits_fn, x, y, threat, keys, steps=1)
    part = attack(logits_fn, x[5:9], y[5:9], threat, keys[5:9], steps=1)
    np.testing.assert_array_equal(whole[5:9], part)
    other = attack(logits_fn, x, y, threat, 2, steps=1)
    assert np.abs(whole - other).max() > 0.01


def test_x_init_is_where_the_ascent_begins():
    x = tf.fill([1, 4, 4, 1], 0.5)
    constant = lambda images: tf.zeros([1, 2]) + 0.0 * tf.reduce_sum(images)  # noqa: E731
    start = x + 0.03
    for attack in ATTACKS:
        result = attack(constant, x, tf.constant([0]), Threat("linf", 0.1), 0, start)
        np.testing.assert_allclose(result, start, atol=1e-6)


def test_restarts_keep_what_one_of_them_broke():
    """Only starts in one corner see a slope: more restarts break more examples."""

    def pocket(images):
        inside = tf.reshape(images, [-1, 16])[:, 0] > 0.55
        logit = tf.where(inside, 1.0, -1.0) + 0.0 * tf.reduce_sum(images, axis=[1, 2, 3])
        return tf.stack([tf.zeros_like(logit), logit], axis=1)

    x, y = tf.fill([64, 4, 4, 1], 0.5), tf.zeros([64], tf.int32)
    broken = []
    for restarts in (1, 4):
        result = pgd(pocket, x, y, Threat("linf", 0.1), 0, steps=1, restarts=restarts)
        broken.append(np.mean(margin(pocket(result), y) > 0))
    assert 0.1 < broken[0] < 0.45
    assert broken[1] > broken[0] + 0.2
    # No image goes as far as kappa: what is misclassified stays all the same.
    far = {"steps": 1, "restarts": 4, "objective": "margin", "kappa": 2.0}
    result = pgd(pocket, x, y, Threat("linf", 0.1), 0, **far)
    assert np.mean(margin(pocket(result), y) > 0) > broken[0] + 0.2


def test_kappa_goes_that_far_past_the_boundary():
    _, logits_fn = linear()
    x, y = examples(logits_fn)
    threat = Threat("linf", 0.5)
    at_boundary = margin(logits_fn(cw(logits_fn, x, y, threat, steps=200)), y).numpy()
    beyond = margin(logits_fn(cw(logits_fn, x, y, threat, steps=200, kappa=1.0)), y).numpy()
    assert np.all(at_boundary > 0)
    assert at_boundary.mean() < 0.5
    assert np.all(beyond > 1.0)


def test_margin_when_every_logit_is_negative():
    logits, labels = tf.constant([[-5.0, -9.0, -7.0]]), tf.constant([0])
    np.testing.assert_allclose(margin(logits, labels), [-2.0])


def test_finite_at_huge_logits():
    weights, _ = linear(classes=5)
    logits_fn = lambda x: 1e4 * tf.reshape(x, [-1, 16]) @ weights  # noqa: E731
    x, y = examples(logits_fn)
    for attack in ATTACKS:
        assert np.all(np.isfinite(attack(logits_fn, x, y, Threat("linf", 0.1))))


@pytest.mark.parametrize("attack", [fgsm, bim, mim, pgd, cw, apgd], ids=lambda a: a.__name__)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_finite_where_logits_overflow_on_the_way(attack, norm):
    weights, _ = linear(classes=5)

    def logits_fn(x):
        near = tf.reduce_max(tf.abs(x - clean), axis=(1, 2, 3))[:, None] < 0.02
        return tf.reshape(x, [-1, 16]) @ weights * tf.where(near, 1.0, np.inf)

    clean = examples(linear(classes=5)[1])[0]
    threat = Threat(norm, 0.2)
    moved = attack(logits_fn, clean, tf.argmax(clean[:, 0, 0] @ tf.ones([1, 5]), 1), threat)
    assert np.all(np.isfinite(moved))
    assert np.abs(moved - clean).max() > 0.02


@pytest.mark.parametrize("attack", [pgd, apgd, fab, cw_l2], ids=lambda a: a.__name__)
def test_a_pixel_whose_gradient_is_lost_does_not_keep_the_others_from_moving(attack):
    _, logits_fn = linear(classes=5)
    lost = np.zeros((1, 4, 4, 1), np.float32)
    lost[0, 0, 0, 0] = np.nan

    @tf.custom_gradient
    def through(images):
        return images, lambda gradient: gradient + lost

    x, y = examples(logits_fn)
    moved = attack(lambda images: logits_fn(through(images)), x, y, Threat("l2", 2.0))
    assert np.all(np.isfinite(moved))
    assert np.mean(margin(logits_fn(moved), y) > 0) > 0.9


def test_graph_equals_eager():
    _, logits_fn = linear(classes=5)
    x, y = examples(logits_fn)
    threat = Threat("linf", 0.1)
    graph = tf.function(lambda x, y: pgd(logits_fn, x, y, threat, 4))(x, y)
    np.testing.assert_allclose(pgd(logits_fn, x, y, threat, 4), graph, atol=1e-6)


@pytest.mark.parametrize(
    "arguments", [{"steps": 0}, {"restarts": 0}, {"step_size": 0.0}, {"kappa": -1.0}]
)
def test_bad_arguments_are_refused(arguments):
    _, logits_fn = linear()
    x, y = examples(logits_fn)
    with pytest.raises(UserError, match="at least 1"):
        pgd(logits_fn, x, y, Threat("linf", 0.1), **arguments)
