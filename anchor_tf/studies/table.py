"""The table of a study: table.md, table.csv and table.json."""

import csv
import dataclasses
import io
import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from anchor_tf.atomic import replacing
from anchor_tf.studies import bootstrap
from anchor_tf.studies.results import Result

Row = dict[str, Any]


def rows(
    results: Mapping[str, Sequence[Result]], failures: Mapping[str, int], *, folds: bool = False
) -> list[Row]:
    """A row a method: means and standard deviations over its runs.

    Args:
        results: method -> its finished runs, the reference first.
        failures: method -> how many of its runs failed.
        folds: whether the runs are folds, not seeds.

    Returns:
        Rows with "method", "runs", "failures", "epochs", "parameters", "training_seconds",
        "image_passes", "accuracies" (name -> mean, std) and "difference", the interval of the
        worst-case accuracy less that of the first method. What is not known is None, so is the
        standard deviation of a single run.
    """
    outcomes = {method: _outcomes(found) for method, found in results.items()}
    reference = next(iter(results))
    table = []
    for method, found in results.items():
        interval = None
        if method != reference:
            interval = bootstrap.compare(outcomes[reference], outcomes[method], folds=folds)
        names = dict.fromkeys(name for result in found for name in result.accuracies)
        table.append(
            {
                "method": method,
                "runs": len(found),
                "failures": failures.get(method, 0),
                "epochs": found[0].epochs if found else None,
                "parameters": _spread(_facts(found, "parameters"))["mean"],
                "image_passes": _spread(_facts(found, "image_passes"))["mean"],
                "training_seconds": _spread(_facts(found, "training_seconds")),
                "accuracies": {
                    name: _spread([r.accuracies[name] for r in found if name in r.accuracies])
                    for name in names
                },
                "difference": interval and dataclasses.asdict(interval),
            }
        )
    return table


def warnings(results: Mapping[str, Sequence[Result]]) -> list[str]:
    """What makes the figures of a study hard to compare."""
    ways = {
        (result.report["norm"], result.report["epsilon"], *result.report["attacks"])
        for found in results.values()
        for result in found
    }
    if len(ways) < 2:
        return []
    return ["the runs were not evaluated alike: their reports differ in norm, epsilon or attacks"]


def markdown(title: str, table: Sequence[Row], cautions: Sequence[str] = ()) -> str:
    """The table for reading, accuracies in per cent; its columns are aligned as plain text too."""
    names = _accuracy_names(table)
    header = ["method", "runs", *(f"{name} %" for name in names), "difference % (95 %)"]
    header += ["epochs", "training s", "parameters", "passes an image", "failures"]
    cells = [header, *(_cells(row, names) for row in table)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_line(line, widths) for line in cells]
    rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    lines.insert(1, f"| {' | '.join(rule)} |")
    lines[:0] = [title, ""]
    lines += [
        "",
        "Accuracies are means over the runs, ± one standard deviation. Differences are in "
        f"worst-case accuracy to {table[0]['method']}, paired, with a bootstrap interval over test "
        "examples.",
    ]
    return "\n".join([*lines, *(f"\nwarning: {text}" for text in cautions), ""])


def as_csv(table: Sequence[Row]) -> str:
    """The table for spreadsheets: accuracies in [0, 1], a column a number."""
    names = _accuracy_names(table)
    text = io.StringIO()
    lines = []
    for row in table:
        line = {k: row[k] for k in ("method", "runs", "failures", "epochs")}
        line |= {k: row[k] for k in ("parameters", "image_passes")}
        spreads = {"training_seconds": row["training_seconds"]}
        spreads |= {name: row["accuracies"].get(name, _spread([])) for name in names}
        for name, spread in spreads.items():
            line |= {f"{name} {key}": spread[key] for key in ("mean", "std")}
        interval = row["difference"] or {}
        line |= {k: interval.get(k) for k in ("difference", "lower", "upper")}
        lines.append(line)
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def write(folder: pathlib.Path, title: str, table: Sequence[Row], cautions: Sequence[str]) -> str:
    """Writes table.md, table.csv and table.json, each atomically.

    Args:
        folder: where they go.
        title: what was compared, on what data and against which threat.
        table: what `rows` returned.
        cautions: what `warnings` returned.

    Returns:
        The text of table.md.
    """
    content = {"title": title, "methods": list(table), "warnings": list(cautions)}
    text = markdown(title, table, cautions)
    texts = {"md": text, "csv": as_csv(table), "json": json.dumps(content, indent=2) + "\n"}
    for ending, encoded in texts.items():
        with replacing(folder / f"table.{ending}") as file:
            file.write(encoded.encode())
    return text


def _outcomes(found: Sequence[Result]) -> dict[int, dict]:
    loaded = {result.number: result.outcomes() for result in found}
    return {number: arrays for number, arrays in loaded.items() if arrays is not None}


def _facts(found: Sequence[Result], name: str) -> list[float]:
    return [result.report[name] for result in found if result.report.get(name) is not None]


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and standard deviation with n - 1, each None where there are too few values."""
    return {
        "mean": statistics.fmean(values) if values else None,
        "std": statistics.stdev(values) if len(values) > 1 else None,
    }


def _accuracy_names(table: Sequence[Row]) -> list[str]:
    """Clean, all attacks that any run has, the worst case."""
    names = dict.fromkeys(name for row in table for name in row["accuracies"])
    attacks = [name for name in names if name not in ("clean", "worst case")]
    return ["clean", *attacks, "worst case"]


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    interval = row["difference"]
    return [
        row["method"],
        str(row["runs"]),
        *(_plus_minus(row["accuracies"].get(name), 100.0) for name in names),
        "{difference:+.2f} ({lower:+.2f} to {upper:+.2f})".format(
            **{key: 100 * interval[key] for key in ("difference", "lower", "upper")}
        )
        if interval
        else "-",
        _number(row["epochs"]),
        _plus_minus(row["training_seconds"], 1.0, decimals=0),
        _number(row["parameters"]),
        _number(row["image_passes"]),
        str(row["failures"]),
    ]


def _plus_minus(spread: Mapping[str, float | None] | None, scale: float, decimals: int = 2) -> str:
    if spread is None or spread["mean"] is None:
        return "-"
    mean = f"{scale * spread['mean']:.{decimals}f}"
    return mean if spread["std"] is None else f"{mean} ± {scale * spread['std']:.{decimals}f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = cells
    padded = [first.ljust(widths[0])]
    padded += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
    return f"| {' | '.join(padded)} |"
