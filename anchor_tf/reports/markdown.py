"""report.md: the whole report for reading."""

from collections.abc import Mapping
from typing import Any

from anchor_tf.reports import drawing, escaping, notes, tables
from anchor_tf.reports.rendering import (
    HEADER,
    blocks_of,
    machine_in_words,
    rows_of,
    threat_of,
    title_of,
)


def render(report: Mapping[str, Any]) -> str:
    """The whole report for reading, in Markdown."""
    lines = ["# Robustness report", "", _introduction(report), ""]
    if "sweep" in report:
        lines += ["## Overview", "", *_overview(report), ""]
    for figures in blocks_of(report):
        rows = rows_of(figures, report["examples"])
        title = escaping.text(title_of(report, figures))
        lines += [f"## {title}", "", *_markdown_table(HEADER, rows), ""]
    lines += [notes.attacks(report), ""]
    if "last" in report:
        lines += ["## Last epoch", "", *_last_epoch(report), ""]
    if "curve" in report:
        lines += _plots(report)
    if "classes" in report:
        table = _markdown_table(*tables.classes(report))
        under = f", {threat_of(report)}" if report["attacks"] else ""
        lines += [f"## Classes{under}", "", *table, ""]
    if report.get("confusions"):
        table = _markdown_table(*tables.confusions(report))
        under = f", {threat_of(report)}" if report["attacks"] else ""
        lines += [f"## Worst confusions{under}", "", *table, ""]
    if "representation" in report:
        lines += [f"## Representation, {threat_of(report)}", "", *_representation(report), ""]
    lines += ["## Settings", ""]
    for figures in blocks_of(report):
        lines += [*_settings(figures), ""]
    lines += [
        "## Warnings",
        "",
        *(f"- {escaping.item(text)}" for text in report["warnings"] or ["none"]),
        "",
    ]
    return "\n".join(lines)


def _introduction(report) -> str:
    named = [report.get("method"), report.get("model")]
    subject = ", ".join(escaping.code(name) for name in named if name)
    if "backbone" in report:
        subject += f", backbone {escaping.code(report['backbone'])},"
    subject += " on " if subject else ""
    split = report["split"] if " " in report["split"] else f"the {report['split']} split"
    machine = f"Machine: {machine_in_words(report['machine'])}. " if "machine" in report else ""
    packages = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return (
        f"What was evaluated: {subject}{split} of {escaping.code(report['dataset'])}, "
        f"{report['examples']} examples, with seed {report['seed']}. Epsilon is in units of pixels "
        f"in [0, 1]. {machine}Software: {packages}."
    )


def _overview(report) -> list[str]:
    """A sweep at a glance, and what the rest rests on."""
    return [*_markdown_table(*tables.overview(report)), "", notes.overview(report)]


def _last_epoch(report) -> list[str]:
    table = _markdown_table(*tables.last_epoch(report))
    return [notes.last_epoch(report), "", *table, "", notes.OVERFITTING]


def _plots(report) -> list[str]:
    attack = report["curve"]["attack"]
    lines = [
        "## Accuracy against epsilon",
        "",
        f"{escaping.code(attack)} {notes.curve(report)}",
        "",
        f"![Accuracy under {escaping.text(attack)} against epsilon]({drawing.EPSILON_PLOT})",
        "",
    ]
    if not report["attacks"]:
        return lines
    return [
        *lines,
        f"## Under attack, {threat_of(report)}",
        "",
        f"![Images, perturbations and adversarial images]({drawing.EXAMPLES_PLOT})",
        "",
        f"![What each class is taken for in the worst case]({drawing.CONFUSION_PLOT})",
        "",
    ]


def _representation(report) -> list[str]:
    """The measures of the embeddings, and how to read them."""
    return [
        notes.representation(report),
        "",
        *_markdown_table(*tables.readers(report)),
        "",
        notes.DISTANCES,
        "",
        *_markdown_table(*tables.distances(report), flush_first=False),
    ]


def _settings(figures) -> list[str]:
    """A line an attack, and below it one a member with its cumulative accuracy."""
    lines = []
    for text, own, members in tables.settings(figures):
        lines.append(f"- {escaping.code(text)} {escaping.text(own)}")
        lines += [f"  - {escaping.item(f'{name}, {of}')}" for name, of in members]
    return lines


def _markdown_table(header, rows, flush_first: bool = True) -> list[str]:
    rule = ["---" if flush_first else "---:", *["---:"] * (len(header) - 1)]
    header, *rows = ([escaping.text(cell) for cell in cells] for cells in (header, *rows))
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]
