"""A report as text: the table for the console, and report.md."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

PLOT = "plots/accuracy_against_epsilon.png"
EXAMPLES_PLOT = "plots/adversarial_examples.png"
CONFUSION_PLOT = "plots/confusion_under_attack.png"
_HEADER = ("", "accuracy %", "95 % interval", "correct", "seconds")
_NORMS = {"linf": "L-inf", "l2": "L2"}


def table(report: Mapping[str, Any]) -> str:
    """The figures as aligned plain text, a block for each norm and radius."""
    return "\n\n".join(
        f"{_title(report, figures)}\n{_aligned([_HEADER, *_rows(figures, report['examples'])])}"
        for figures in _blocks(report)
    )


def markdown(report: Mapping[str, Any]) -> str:
    """The whole report for reading, in Markdown."""
    lines = ["# Robustness report", "", _introduction(report), ""]
    for figures in _blocks(report):
        rows = _rows(figures, report["examples"])
        lines += [f"## {_title(report, figures)}", "", *_markdown_table(_HEADER, rows), ""]
    lines += [
        "Each attack ran on every correctly classified image; its accuracy is the share of all "
        "examples that are correct before and after. The worst case counts an example only if it "
        "survives every attack listed. Intervals are Wilson's, for the choice of examples alone.",
        "",
    ]
    if "curve" in report:
        lines += [
            "## Accuracy against epsilon",
            "",
            f"![Accuracy under {report['curve']['attack']} against epsilon]({PLOT})",
            "",
            "## Under attack",
            "",
            f"![Images, perturbations and adversarial images]({EXAMPLES_PLOT})",
            "",
            f"![What each class is taken for in the worst case]({CONFUSION_PLOT})",
            "",
        ]
    if "classes" in report:
        lines += ["## Classes", "", *_class_table(report["classes"]), ""]
    lines += ["## Settings", ""]
    for figures in _blocks(report):
        lines += [*_settings(figures), ""]
    lines += ["## Warnings", "", *(f"- {text}" for text in report["warnings"] or ["none"]), ""]
    return "\n".join(lines)


def wilson_interval(
    correct: int, examples: int, deviations: float = 1.959964
) -> tuple[float, float]:
    """Wilson's score interval of a proportion.

    Args:
        correct: successes, 0 to `examples`.
        examples: trials, at least 1.
        deviations: half width in standard deviations; 95 % by default.

    Returns:
        Lower and upper limit, in [0, 1].
    """
    share, square = correct / examples, deviations**2
    centre = share + square / (2 * examples)
    spread = deviations * math.sqrt(
        share * (1 - share) / examples + square / (4 * examples * examples)
    )
    scale = 1 + square / examples
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def format_epsilon(norm: str, epsilon: float) -> str:
    """An L-inf radius in grey levels, "8/255", where it is a whole number of them.

    A short decimal such as 0.2 stays one.
    """
    levels = round(epsilon * 255)
    short = abs(epsilon - round(epsilon, 2)) < 1e-7
    if norm == "linf" and 0 < levels < 255 and abs(epsilon * 255 - levels) < 1e-4 and not short:
        return f"{levels}/255"
    return f"{epsilon:.4g}"


def _blocks(report: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return report.get("sweep") or [report]


def _title(report, figures) -> str:
    radius = format_epsilon(figures["norm"], figures["epsilon"])
    return (
        f"{report['dataset']} {report['split']}, {report['examples']} examples, "
        f"{_NORMS[figures['norm']]} epsilon {radius}"
    )


def _introduction(report) -> str:
    subject = f"`{report['method']}` on " if "method" in report else ""
    packages = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return (
        f"What was evaluated: {subject}the {report['split']} split of `{report['dataset']}`, "
        f"{report['examples']} examples, with seed {report['seed']}. Software: {packages}."
    )


def _rows(figures, examples) -> list[tuple[str, ...]]:
    """Clean, each attack, the worst case: the cells under `_HEADER`."""
    entries = [("clean", figures["clean"]), *figures["attacks"].items()]
    entries.append(("worst case", figures["worst_case"]))
    rows = []
    for name, entry in entries:
        correct = round(entry["accuracy"] * examples)
        lower, upper = wilson_interval(correct, examples)
        seconds = f"{entry['seconds']:.1f}" if "seconds" in entry else ""
        rows.append(
            (
                name,
                f"{100 * entry['accuracy']:.2f}",
                f"{100 * lower:.1f} to {100 * upper:.1f}",
                f"{correct}/{examples}",
                seconds,
            )
        )
    return rows


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width: the first flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def _markdown_table(header, rows) -> list[str]:
    rule = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]


def _class_table(classes) -> list[str]:
    rows = [
        (
            name,
            str(entry["examples"]),
            f"{100 * entry['clean']:.1f}",
            f"{100 * entry['worst_case']:.1f}",
        )
        for name, entry in classes.items()
    ]
    return _markdown_table(("class", "examples", "clean %", "worst case %"), rows)


def _settings(figures) -> list[str]:
    """A line an attack, and below it one a member with its cumulative accuracy."""
    radius = format_epsilon(figures["norm"], figures["epsilon"])
    lines = []
    for text, entry in figures["attacks"].items():
        settings = dict(entry["settings"])
        members = settings.pop("members", {})
        lines.append(f"- `{text}` at {_NORMS[figures['norm']]} {radius}: {_listed(settings)}")
        for name, member in members.items():
            left = f"{100 * member['accuracy']:.2f} % left"
            rest = {key: value for key, value in member.items() if key not in ("accuracy", "seed")}
            lines.append(f"  - {name}, {left}: {_listed(rest)}")
    return lines


def _listed(settings) -> str:
    return ", ".join(f"{key} {_short(value)}" for key, value in settings.items())


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
