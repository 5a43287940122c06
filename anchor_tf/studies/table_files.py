"""The table of a study as files: table.md, table.csv and table.json."""

import csv
import io
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from anchor_tf.files.atomic import replacing
from anchor_tf.reports import escaping
from anchor_tf.studies import bootstrap
from anchor_tf.studies.results import LAST
from anchor_tf.studies.table import Row


def markdown(shared: Mapping[str, Any], table: Sequence[Row], cautions: Sequence[str] = ()) -> str:
    """The table for reading, accuracies in per cent; its columns are aligned as plain text too.

    Args:
        shared: what `table.facts` returned.
        table: what `table.rows` returned.
        cautions: what `table.warnings` returned.
    """
    names = _accuracy_names(table)
    attacks = (f"{escaping.text(name)} %" for name in names)
    header = ["method", "runs", *attacks, "difference % (95 %)"]
    header += ["epochs", "passes", "training s", "attacks s", "failures"]
    cells = [header, *(_cells(row, names) for row in table)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_line(line, widths) for line in cells]
    rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    lines.insert(1, f"| {' | '.join(rule)} |")
    lines[:0] = [shared["title"], "", f"    {shared['command']}", ""]
    first = escaping.text(table[0]["method"])
    lines += [
        "",
        "Accuracies are means over the runs, ± one standard deviation. Differences are in "
        f"worst-case accuracy to {first}, paired; {_surety(table)}. Passes are image "
        f"passes a training image, seconds those of one run.{_rests_on(shared)}",
    ]
    return "\n".join([*lines, *(f"\nwarning: {escaping.text(text)}" for text in cautions), ""])


def as_csv(table: Sequence[Row]) -> str:
    """The table for spreadsheets: accuracies in [0, 1], a column a number."""
    names = _accuracy_names(table)
    text = io.StringIO()
    lines = []
    for row in table:
        line = {k: row[k] for k in ("method", "failures", "epochs")}
        line["runs"] = " ".join(map(str, row["runs"]))
        line |= {k: row[k] for k in ("parameters", "image_passes")}
        spreads = {k: row[k] for k in ("training_seconds", "attack_seconds")}
        spreads |= {name: row["accuracies"].get(name, {}) for name in names}
        for name, spread in spreads.items():
            line |= {f"{name} {key}": spread.get(key) for key in ("mean", "std")}
        interval = row["difference"] or {}
        line |= {k: interval.get(k) for k in ("difference", "lower", "upper")}
        lines.append(line)
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def write(
    folder: pathlib.Path,
    shared: Mapping[str, Any],
    table: Sequence[Row],
    cautions: Sequence[str],
) -> str:
    """Writes table.md, table.csv and table.json, each atomically.

    Args:
        folder: where they go.
        shared: what `table.facts` returned.
        table: what `table.rows` returned.
        cautions: what `table.warnings` returned.

    Returns:
        The text of table.md.
    """
    content = {**shared, "methods": list(table), "warnings": list(cautions)}
    text = markdown(shared, table, cautions)
    texts = {"md": text, "csv": as_csv(table), "json": json.dumps(content, indent=2) + "\n"}
    for ending, encoded in texts.items():
        with replacing(folder / f"table.{ending}") as file:
            file.write(encoded.encode())
    return text


def _accuracy_names(table: Sequence[Row]) -> list[str]:
    """Clean, all attacks that any run has, the worst case, that of the last epochs if any."""
    names = dict.fromkeys(name for row in table for name in row["accuracies"])
    attacks = [name for name in names if name not in ("clean", "worst case", LAST)]
    return ["clean", *attacks, "worst case", *([LAST] if LAST in names else [])]


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    interval = row["difference"]
    return [
        escaping.text(row["method"]),
        str(len(row["runs"])),
        *(_plus_minus(row["accuracies"].get(name)) for name in names),
        "{difference:+.1f} ({lower:+.1f} to {upper:+.1f})".format(
            **{key: 100 * interval[key] for key in ("difference", "lower", "upper")}
        )
        if interval
        else "-",
        _number(row["epochs"]),
        _number(row["image_passes"]),
        _number(row["training_seconds"]["mean"]),
        _number(row["attack_seconds"]["mean"]),
        str(row["failures"]),
    ]


def _plus_minus(spread: Mapping[str, float | None] | None) -> str:
    """Mean and deviation in per cent, to a tenth: no study here tells finer differences apart."""
    if spread is None or spread["mean"] is None:
        return "-"
    mean = f"{100 * spread['mean']:.1f}"
    return mean if spread["std"] is None else f"{mean} ± {100 * spread['std']:.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = cells
    padded = [first.ljust(widths[0])]
    padded += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
    return f"| {' | '.join(padded)} |"


def _surety(table: Sequence[Row]) -> str:
    """What the intervals of the differences speak of."""
    runs = [row["difference"]["runs"] for row in table if row["difference"]]
    over_examples = "intervals are taken over the examples"
    if min(runs, default=0) >= bootstrap.ENOUGH_RUNS:
        return f"{over_examples} or by Student's t over the runs, whichever is wider"
    if max(runs, default=0) >= bootstrap.ENOUGH_RUNS:
        least = f"{bootstrap.ENOUGH_RUNS} common runs"
        return f"{over_examples} or, from {least} on, by Student's t over them if that is wider"
    return f"{over_examples} alone and do not speak of other seeds"


def _rests_on(shared: Mapping[str, Any]) -> str:
    """How many examples were attacked, on what machine."""
    kind = "held-out training" if shared.get("held_out") else "test"
    text = f" {shared['examples']} {kind} examples." if shared["examples"] else ""
    machine = shared["machine"]
    if machine:
        threads = f"{machine['threads']} of {machine['cores']} cores a run"
        devices = ", ".join([machine["processor"], threads, *(machine["gpus"] or ["no GPU"])])
        text += f" Machine: {devices}."
    return text
