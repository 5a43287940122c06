"""The interval against the binomial distribution, and what pairing and folds do to it."""

import numpy as np
import pytest
import scipy.stats

from anchor_tf.studies import bootstrap


def outcomes(worst_case, indices=None):
    worst_case = np.asarray(worst_case, bool)
    indices = np.arange(len(worst_case)) if indices is None else np.asarray(indices)
    return {"worst_case": worst_case, "indices": indices, "labels": indices % 10}


@pytest.mark.parametrize(("examples", "gained"), [(100, 10), (400, 200), (1000, 30)])
def test_interval_against_the_binomial(examples, gained):
    # Where the other method gains `gained` examples and loses none, a draw's mean is binomial.
    sums = (np.arange(examples) < gained).astype(np.float64)
    difference, lower, upper = bootstrap.interval(sums, np.ones(examples), resamples=20000)
    assert difference == gained / examples
    exact = scipy.stats.binom(examples, gained / examples).ppf([0.025, 0.975]) / examples
    np.testing.assert_allclose([lower, upper], exact, atol=1.01 / examples, rtol=0)


def test_interval_against_a_loop():
    generator = np.random.default_rng(3)
    sums = generator.integers(-2, 3, 57).astype(np.float64)
    counts = generator.integers(2, 4, 57)
    found = bootstrap.interval(sums, counts, resamples=300, seed=5)
    again = np.random.default_rng(5)
    means = []
    for _ in range(300):
        top = bottom = 0.0
        for place in again.integers(57, size=57):
            top, bottom = top + sums[place], bottom + counts[place]
        means.append(top / bottom)
    ordered = np.sort(means)
    limits = []
    for share in (0.025, 0.975):
        position = share * 299
        below = int(position)
        rest = position - below
        limits.append(ordered[below] * (1 - rest) + ordered[below + 1] * rest)
    np.testing.assert_allclose(found, [sums.sum() / counts.sum(), *limits], rtol=1e-12, atol=1e-12)


def test_equal_methods_are_found_equal_nineteen_times_in_twenty():
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        one, two = generator.random((2, 200)) < 0.4
        sums = two.astype(np.float64) - one
        _, lower, upper = bootstrap.interval(sums, np.ones(200), resamples=200)
        held += lower <= 0 <= upper
    assert 0.90 <= held / 300 <= 0.985


def test_the_same_outcomes_differ_by_nothing_and_a_gain_is_seen():
    generator = np.random.default_rng(1)
    worst_case = generator.random(300) < 0.3
    same = bootstrap.compare({0: outcomes(worst_case)}, {0: outcomes(worst_case)})
    assert same.difference == 0.0
    assert -same.lower == same.upper == pytest.approx(1.96 / 302, rel=1e-3)
    better = bootstrap.compare(
        {0: outcomes(worst_case)}, {0: outcomes(worst_case | (np.arange(300) < 40))}
    )
    assert 0.0 < better.lower < better.difference < better.upper
    assert (better.examples, better.runs) == (300, 1)


@pytest.mark.parametrize("differing", range(bootstrap.FEW))
def test_few_examples_that_differ_prove_little(differing):
    """Of two equal methods each such example favours either one: how often is zero left out?"""
    left_out = 0.0
    for gained in range(differing + 1):
        sums = np.zeros(1000)
        sums[:gained], sums[gained:differing] = 1.0, -1.0
        lower, upper = bootstrap.of_few(sums, np.ones(1000))
        assert lower <= sums.mean() <= upper
        if not lower <= 0.0 <= upper:
            left_out += scipy.stats.binom(differing, 0.5).pmf(gained)
    assert left_out <= 0.0704
    if differing >= 8:
        assert left_out > 0.0


def test_few_examples_that_differ_widen_the_interval():
    base = np.arange(1000) < 500
    more = [
        bootstrap.compare({0: outcomes(base)}, {0: outcomes(np.arange(1000) < n)})
        for n in (504, 500 + bootstrap.FEW)
    ]
    assert (more[0].lower, more[0].upper) == pytest.approx((-0.000375, 0.008359), abs=1e-6)
    sums = np.zeros(1000)
    sums[500 : 500 + bootstrap.FEW] = 1.0
    expected = bootstrap.interval(sums, np.ones(1000))
    assert (more[1].difference, more[1].upper) == (expected[0], expected[2])
    three = [{seed: outcomes(kind) for seed in range(3)} for kind in (base, np.arange(1000) < 504)]
    many = bootstrap.compare(*three)  # the same again and again says nothing new of the examples
    assert many.upper == pytest.approx(more[0].upper)


def test_runs_without_a_shared_example_do_not_count():
    one = {seed: outcomes([0, 1] * 20, range(40)) for seed in range(3)}
    two = {**one, 2: outcomes([0, 1], [50, 51])}
    assert bootstrap.compare(one, two).runs == 2


def test_pairing_narrows_the_interval():
    generator = np.random.default_rng(2)
    one = generator.random(500) < 0.5
    two = np.where(generator.random(500) < 0.1, ~one, one)
    paired = bootstrap.compare({0: outcomes(one)}, {0: outcomes(two)})
    # The control: the same figures without the pairing.
    unpaired = bootstrap.compare({0: outcomes(one)}, {0: outcomes(generator.permutation(two))})
    assert paired.difference == pytest.approx(unpaired.difference, abs=1e-12)
    assert paired.upper - paired.lower < 0.6 * (unpaired.upper - unpaired.lower)


def test_seeds_are_averaged_and_folds_concatenated():
    one = {0: outcomes([0, 0, 1, 1]), 1: outcomes([0, 0, 0, 0]), 2: outcomes([1, 1, 1, 1])}
    two = {0: outcomes([1, 0, 1, 1]), 1: outcomes([1, 1, 0, 0])}
    seeds = bootstrap.compare(one, two)
    assert (seeds.difference, seeds.examples, seeds.runs) == (3 / 8, 4, 2)
    folds = bootstrap.compare(one, two, folds=True)
    assert (folds.difference, folds.examples, folds.runs) == (3 / 8, 8, 2)


def test_examples_are_matched_by_their_indices():
    one = {0: outcomes([0, 1, 0], [5, 7, 9])}
    two = {0: outcomes([1, 1, 1], [9, 11, 7])}
    found = bootstrap.compare(one, two)
    assert (found.difference, found.examples) == (0.5, 2)
    assert bootstrap.compare(one, {0: outcomes([1], [2])}) is None
    assert bootstrap.compare(one, {1: outcomes([1], [5])}) is None
    other_data = {0: {**two[0], "labels": np.array([1, 2, 3])}}
    assert bootstrap.compare(one, other_data) is None


def test_three_runs_that_disagree_make_a_wider_interval():
    generator = np.random.default_rng(4)
    base = generator.random(400) < 0.5
    gains = (10, 60, 110)
    one = {seed: outcomes(base) for seed in range(3)}
    two = {seed: outcomes(base | (np.arange(400) < gain)) for seed, gain in enumerate(gains)}
    differences = [two[seed]["worst_case"].mean() - base.mean() for seed in range(3)]
    found = bootstrap.compare(one, two)
    mean, error = np.mean(differences), scipy.stats.sem(differences)
    expected = scipy.stats.t.interval(0.95, 2, mean, error)
    np.testing.assert_allclose([found.lower, found.upper], expected, rtol=1e-9)
    first_two = bootstrap.compare({0: one[0], 1: one[1]}, {0: two[0], 1: two[1]})
    assert first_two.upper - first_two.lower < 0.3 * (found.upper - found.lower)


def test_runs_that_agree_leave_the_interval_over_the_examples():
    base = np.arange(300) % 3 == 0
    better = base | (np.arange(300) < 40)
    one, two = ({seed: outcomes(kind) for seed in range(3)} for kind in (base, better))
    many, single = bootstrap.compare(one, two), bootstrap.compare({0: one[0]}, {0: two[0]})
    assert many.lower == pytest.approx(single.lower)
    assert many.upper == pytest.approx(single.upper)
