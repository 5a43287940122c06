"""How sure the difference between two methods is: over test examples, and over runs."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.stats

RESAMPLES = 2000
LEVEL = 0.95
ENOUGH_RUNS = 3  # for an interval over runs: with two, Student's t has limits 13 deviations wide
FEW = 10  # examples that differ: with fewer, a bootstrap is too narrow, and with none has no width


@dataclasses.dataclass(frozen=True)
class Interval:
    """A difference in accuracy, in [-1, 1], and its interval.

    Attributes:
        difference: the estimate.
        lower: lower limit.
        upper: upper limit.
        examples: test examples it rests on.
        runs: pairs of runs it rests on.
    """

    difference: float
    lower: float
    upper: float
    examples: int
    runs: int


def compare(
    first: Mapping[int, Mapping[str, np.ndarray]],
    other: Mapping[int, Mapping[str, np.ndarray]],
    *,
    folds: bool = False,
) -> Interval | None:
    """The difference in worst-case accuracy, `other` less `first`, over the runs both have.

    Its interval is the wider one of a paired bootstrap over the test examples and, where there are
    three runs or more, of Student's t over the differences of the runs: the first says how sure the
    difference between these networks is, the second how far it depends on their seeds. Where fewer
    than `FEW` examples differ, `of_few` widens the first.

    Args:
        first: seed or fold -> `worst_case` bool [N], `indices` [N] and `labels` [N] of that run.
        other: likewise.
        folds: whether the runs have examples of their own, not the same ones again.

    Returns:
        None where no run of one has a counterpart with the same examples.
    """
    numbers = sorted(set(first) & set(other))
    keys, differences = [], []
    for number in numbers:
        one, two = first[number], other[number]
        shared, mine, yours = np.intersect1d(one["indices"], two["indices"], return_indices=True)
        if not np.array_equal(one["labels"][mine], two["labels"][yours]):
            return None
        keys.append(np.stack([np.full(len(shared), number if folds else 0), shared]))
        differences.append(
            two["worst_case"][yours].astype(np.float64) - one["worst_case"][mine].astype(np.float64)
        )
    if not keys or not any(map(len, differences)):
        return None
    # An example that several seeds have attacked is drawn once, with all that it has to say.
    examples, place = np.unique(np.concatenate(keys, axis=1), axis=1, return_inverse=True)
    place = place.reshape(-1)
    sums = np.bincount(place, np.concatenate(differences))
    counts = np.bincount(place)
    difference, *limits = interval(sums, counts)
    if np.count_nonzero(sums) < FEW:
        lower, upper = of_few(sums, counts)
        limits = [min(limits[0], lower), max(limits[1], upper)]
    means = [part.mean() for part in differences if len(part)]
    over_runs = runs_interval(means)
    if over_runs is not None and over_runs[1] - over_runs[0] > limits[1] - limits[0]:
        limits = over_runs
    return Interval(difference, *limits, examples.shape[1], len(means))


def interval(
    sums: np.ndarray,
    counts: np.ndarray,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float, float]:
    """The 95 % percentile bootstrap interval of sum(sums) / sum(counts), examples drawn anew.

    Both methods of a pair see the same draw, for `sums` holds their differences already.

    Args:
        sums: each example's differences, summed over the runs that have it; float64 [N].
        counts: how many runs have it, at least 1; [N].
        resamples: number of draws of N examples.
        seed: of the draws.

    Returns:
        Estimate, lower and upper limit.
    """
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    for draw in range(resamples):
        drawn = generator.integers(len(sums), size=len(sums))
        means[draw] = sums[drawn].sum() / counts[drawn].sum()
    lower, upper = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(sums.sum() / counts.sum()), float(lower), float(upper)


def of_few(sums: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """An interval that all but keeps its level where few examples, or none, tell two methods apart.

    At worst, with eight examples that differ, 93 % of such intervals hold a difference of zero.

    Source: Agresti and Min 2005, "Simple improved confidence intervals for comparing matched
    proportions": half a pair is added to those that the one alone gets right and to those that the
    other does, and one to the rest; here of differences that may be means over runs.

    Args:
        sums: as for `interval`.
        counts: likewise.

    Returns:
        Lower and upper limit.
    """
    differences = sums * (len(sums) / counts.sum())
    total, enlarged = differences.sum(), len(sums) + 2.0
    reach = scipy.stats.norm.ppf((1 + LEVEL) / 2)
    spread = np.sum(differences**2) + 1.0 - total**2 / enlarged
    width = float(reach * np.sqrt(spread) / enlarged)
    return float(total / enlarged) - width, float(total / enlarged) + width


def runs_interval(means: Sequence[float]) -> tuple[float, float] | None:
    """Student's 95 % t interval of the mean over all runs there could be.

    None for fewer than `ENOUGH_RUNS`.

    Args:
        means: each run's difference.
    """
    if len(means) < ENOUGH_RUNS:
        return None
    reach = scipy.stats.t.ppf((1 + LEVEL) / 2, len(means) - 1)
    width = float(reach * np.std(means, ddof=1) / np.sqrt(len(means)))
    return float(np.mean(means)) - width, float(np.mean(means)) + width
