import numpy as np
import pytest
import tensorflow as tf

from anchor_tf import keyed_random
from tests.references import keyed_random as reference

pytestmark = pytest.mark.numeric


def test_equals_the_integer_arithmetic_of_the_hash():
    keys = keyed_random.example_keys(123456789, 77, tf.constant([0, 5, 2**31 - 1]))
    numbers = keyed_random.uniform(keys, (2, 5))
    for row, index in zip(numbers.numpy(), [0, 5, 2**31 - 1], strict=True):
        expected = reference.uniform((123456789, 77, index), 10)
        np.testing.assert_array_equal(row.ravel(), np.float32(expected))


def test_compiled_equals_eager():
    keys = keyed_random.example_keys(1, 2, tf.range(7))
    eager = keyed_random.normal(keys, (3, 5))
    graph = tf.function(lambda k: keyed_random.normal(k, (3, 5)))(keys)
    np.testing.assert_allclose(eager, graph, atol=1e-6)


def test_an_example_draws_the_same_in_any_batch():
    together = keyed_random.uniform(keyed_random.example_keys(3, 4, tf.range(10)), (6,))
    alone = keyed_random.uniform(keyed_random.example_keys(3, 4, tf.constant([7])), (6,))
    np.testing.assert_array_equal(together[7], alone[0])


def test_seed_iteration_index_and_stream_each_change_the_numbers():
    base = keyed_random.example_keys(3, 4, tf.constant([5]))
    others = [
        keyed_random.example_keys(2, 4, tf.constant([5])),
        keyed_random.example_keys(3, 5, tf.constant([5])),
        keyed_random.example_keys(3, 4, tf.constant([6])),
        keyed_random.fold(base, "a"),
        keyed_random.fold(base, "b"),
        keyed_random.fold(base, 1),
        keyed_random.fold(base, tf.constant(2)),
    ]
    draws = [keyed_random.uniform(keys, (1000,)).numpy().ravel() for keys in [base, *others]]
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlation).max() < 0.15


def test_uniform_fills_its_range_evenly():
    keys = keyed_random.example_keys(0, 0, tf.range(2000))
    numbers = keyed_random.uniform(keys, (50,), -2.0, 6.0).numpy()
    assert numbers.min() >= -2.0
    assert numbers.max() < 6.0
    counts, _ = np.histogram(numbers, bins=100, range=(-2.0, 6.0))
    chi_squared = ((counts - 1000) ** 2 / 1000).sum()
    assert 55 < chi_squared < 150  # 99 degrees of freedom: mean 99, deviation 14
    neighbours = np.corrcoef(numbers[:-1].ravel(), numbers[1:].ravel())[0, 1]
    assert abs(neighbours) < 0.015


def test_normal_has_the_moments_of_a_normal():
    keys = keyed_random.example_keys(0, 0, tf.range(2000))
    numbers = keyed_random.normal(keys, (50,)).numpy()
    assert abs(numbers.mean()) < 0.01
    assert abs(numbers.std() - 1.0) < 0.01
    assert abs((numbers**4).mean() - 3.0) < 0.15


def test_integers_reach_every_value_below_the_bound():
    keys = keyed_random.example_keys(0, 0, tf.range(200))
    assert set(np.unique(keyed_random.integers(keys, (10,), 7))) == set(range(7))
