"""What the table of a study says: a row a method, and what all rows share."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from anchor_tf.studies import bootstrap
from anchor_tf.studies.results import Result

Row = dict[str, Any]

_OF_ALL_RUNS = ("dataset", "norm", "epsilon", "attacks")
_OF_EACH_RUN = ("split", "examples", "seed")  # folds and seeds have their own


def rows(
    results: Mapping[str, Sequence[Result]], failures: Mapping[str, int], *, folds: bool = False
) -> list[Row]:
    """A row a method: means and standard deviations over its runs.

    Args:
        results: method -> its finished runs, the reference first.
        failures: method -> how many of its runs failed.
        folds: whether the runs are folds, not seeds.

    Returns:
        Rows with "method", "runs" (which seeds or folds), "failures", "epochs", "parameters",
        "training_seconds" and "attack_seconds" of a run, "image_passes", "accuracies" (name ->
        values in the order of the runs, mean, std) and "difference", the interval of the worst-case
        accuracy less that of the first method, over runs that were evaluated alike. What is not
        known is None, so is the standard deviation of a single run.
    """
    outcomes = {method: _outcomes(found) for method, found in results.items()}
    reference = next(iter(results))
    table = []
    for method, found in results.items():
        interval = None
        if method != reference:
            alike = _evaluated_alike(results[reference], found)
            first, other = (
                {number: arrays for number, arrays in outcomes[name].items() if number in alike}
                for name in (reference, method)
            )
            interval = bootstrap.compare(first, other, folds=folds)
        names = dict.fromkeys(name for result in found for name in result.accuracies)
        table.append(
            {
                "method": method,
                "runs": [result.number for result in found],
                "failures": failures.get(method, 0),
                "epochs": found[0].epochs if found else None,
                "parameters": _spread(_facts(found, "parameters"))["mean"],
                "image_passes": _spread(_facts(found, "image_passes"))["mean"],
                "training_seconds": _spread(_facts(found, "training_seconds")),
                "attack_seconds": _spread([_attack_seconds(result) for result in found]),
                "accuracies": {
                    name: _spread([r.accuracies[name] for r in found if name in r.accuracies])
                    for name in names
                },
                "difference": interval and dataclasses.asdict(interval),
            }
        )
    return table


def facts(title: str, command: str, results: Mapping[str, Sequence[Result]]) -> dict[str, Any]:
    """What all rows of a table share.

    Args:
        title: what was compared, on what data and against which threat.
        command: what makes the table again.
        results: method -> its finished runs.

    Returns:
        "title", "command", "examples" that were attacked, "held_out", whether these were training
        images that were left out of training, and "machine"; None where there is no run yet, or
        the runs differ.
    """
    reports = [result.report for found in results.values() for result in found]
    return {
        "title": title,
        "command": command,
        "examples": _common([report["examples"] for report in reports]),
        "held_out": _common([report["split"] != "test" for report in reports]),
        "machine": _common([report.get("machine") for report in reports]),
    }


def warnings(results: Mapping[str, Sequence[Result]]) -> list[str]:
    """What makes the figures of a study hard to compare."""
    every = [result for found in results.values() for result in found]
    runs = [[r for r in every if r.number == number] for number in {r.number for r in every}]
    differing = [name for name in _OF_ALL_RUNS if not _equal(every, name)]
    differing += [name for name in _OF_EACH_RUN if not all(_equal(run, name) for run in runs)]
    if not differing:
        return []
    return [f"the runs were not evaluated alike: their reports differ in {', '.join(differing)}"]


def _evaluated_alike(first: Sequence[Result], other: Sequence[Result]) -> set[int]:
    """The seeds or folds whose two runs met the same attacks on the same data."""
    counterparts = {result.number: result for result in first}
    return {
        result.number
        for result in other
        if result.number in counterparts
        and all(
            _equal([counterparts[result.number], result], name) for name in (*_OF_ALL_RUNS, "split")
        )
    }


def _equal(results: Sequence[Result], name: str) -> bool:
    """Whether the reports agree in an entry; of the attacks only which they are."""
    values = [result.report.get(name) for result in results]
    if name == "attacks":
        values = [list(attacks) for attacks in values]
    return all(value == values[0] for value in values)


def _outcomes(found: Sequence[Result]) -> dict[int, dict]:
    loaded = {result.number: result.outcomes() for result in found}
    return {number: arrays for number, arrays in loaded.items() if arrays is not None}


def _facts(found: Sequence[Result], name: str) -> list[float]:
    return [result.report[name] for result in found if result.report.get(name) is not None]


def _attack_seconds(result: Result) -> float:
    return sum(entry.get("seconds", 0.0) for entry in result.report["attacks"].values())


def _common(values: Sequence[Any]) -> Any:
    """The value that all share; None where they differ."""
    return values[0] if values and all(value == values[0] for value in values) else None


def _spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean and standard deviation with n - 1, each None where there are too few values."""
    return {
        "values": list(values),
        "mean": statistics.fmean(values) if values else None,
        "std": statistics.stdev(values) if len(values) > 1 else None,
    }
