"""The nearest point of a hyperplane in the box, against bisection and general-purpose solvers."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize

from anchor_tf.attacks.projection import step_to_hyperplane
from tests.references import projection as reference

pytestmark = pytest.mark.numeric

NORMS = ["linf", "l2"]


def problems(count=200, size=30, seed=0):
    """Points, weights with zeros among them, and values of either sign, some out of reach."""
    generator = np.random.default_rng(seed)
    points = generator.uniform(size=(count, size))
    points[generator.uniform(size=points.shape) < 0.2] = 0.0
    points[generator.uniform(size=points.shape) < 0.2] = 1.0
    weights = generator.normal(size=(count, size)) * np.exp(generator.normal(size=(count, size)))
    weights[generator.uniform(size=weights.shape) < 0.1] = 0.0
    values = generator.normal(size=count) * 10.0 ** generator.uniform(-3, 2, size=count)
    return [array.astype(np.float32) for array in (points, weights, values)]


def oracle(points, weights, values, norm):
    points, weights, values = (np.float64(array) for array in (points, weights, values))
    offsets = (points * weights).sum(axis=1) - values
    return np.stack(
        [
            reference.step_to_hyperplane(*problem, norm)
            for problem in zip(points, weights, offsets, strict=True)
        ]
    )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("size", [1, 2, 30])
def test_equals_bisection(norm, size):
    arguments = problems(size=size)
    expected = oracle(*arguments, norm)
    step = step_to_hyperplane(*arguments, norm).numpy()
    np.testing.assert_allclose(step, expected, atol=2e-5)
    remaining = arguments[2] + (arguments[1] * step).sum(axis=1)
    reached = np.abs(remaining) < 1e-3 * np.abs(arguments[1]).sum(axis=1)
    if size == 30:  # both cases are met
        assert 0.4 < reached.mean() < 0.95


@pytest.mark.parametrize("norm", NORMS)
def test_no_solver_finds_a_shorter_step(norm):
    compared = 0
    for point, weights, value in zip(*problems(count=20, size=6, seed=1), strict=True):
        value = np.clip(value, -0.2, 0.2)
        step = step_to_hyperplane(point[None], weights[None], value[None], norm).numpy()[0]
        if abs(value + weights @ step) > 1e-5:
            continue
        compared += 1
        bounds = [(-t, 1.0 - t) for t in point]
        if norm == "linf":
            larger = np.hstack([np.eye(6), -np.ones((6, 1))])
            smaller = np.hstack([-np.eye(6), -np.ones((6, 1))])
            solution = optimize.linprog(
                [0.0] * 6 + [1.0],
                A_ub=np.vstack([larger, smaller]),
                b_ub=np.zeros(12),
                A_eq=[[*weights, 0.0]],
                b_eq=[-value],
                bounds=[*bounds, (0, None)],
            )
            shortest = solution.fun
        else:
            solution = optimize.minimize(
                lambda d: d @ d,
                step * 0.5,
                jac=lambda d: 2.0 * d,
                bounds=bounds,
                constraints={"type": "eq", "fun": lambda d, w=weights, v=value: v + w @ d},
                options={"ftol": 1e-12},
            )
            shortest = np.sqrt(solution.fun)
        assert solution.success
        length = np.linalg.norm(step, np.inf if norm == "linf" else 2)
        np.testing.assert_allclose(length, shortest, rtol=1e-3, atol=1e-5)
    assert compared >= 10


@pytest.mark.parametrize("norm", NORMS)
def test_stays_in_the_box(norm):
    points, weights, values = problems()
    moved = points + step_to_hyperplane(points, weights, values, norm).numpy()
    assert moved.min() >= -1e-6
    assert moved.max() <= 1.0 + 1e-6


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("scale", [1e-25, 1e-8, 1e8, 1e25])
def test_scale_of_the_hyperplane_does_not_matter(norm, scale):
    points, weights, values = problems()
    scaled = step_to_hyperplane(points, weights * scale, values * scale, norm)
    np.testing.assert_allclose(scaled, step_to_hyperplane(points, weights, values, norm), atol=2e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_many_coordinates(norm):
    points, weights, values = problems(count=4, size=20_000)
    expected = oracle(points, weights, values, norm)
    step = step_to_hyperplane(points, weights, values, norm).numpy()
    np.testing.assert_allclose(step, expected, rtol=1e-3, atol=2e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_no_weights_no_value_and_no_way(norm):
    points = np.full([3, 4], 0.25, np.float32)
    weights = np.array([[0, 0, 0, 0], [1, -1, 2, 0], [1, -1, 2, 0]], np.float32)
    values = np.array([1.0, 0.0, 100.0], np.float32)
    step = step_to_hyperplane(points, weights, values, norm).numpy()
    np.testing.assert_array_equal(step[:2], 0.0)
    np.testing.assert_allclose(step[2], [-0.25, 0.75, -0.25, 0.0])


@pytest.mark.parametrize("norm", NORMS)
def test_graph_equals_eager_and_other_boxes(norm):
    points, weights, values = problems()
    graph = tf.function(lambda *arrays: step_to_hyperplane(*arrays, norm))(points, weights, values)
    eager = step_to_hyperplane(points, weights, values, norm).numpy()
    np.testing.assert_allclose(graph, eager, atol=1e-6)
    shifted = step_to_hyperplane(2.0 * points - 1.0, weights, 2.0 * values, norm, -1.0, 1.0)
    np.testing.assert_allclose(shifted, 2.0 * eager, atol=2e-5)
