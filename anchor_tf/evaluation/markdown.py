"""report.md: the whole report for reading."""

from collections.abc import Mapping
from typing import Any

from anchor_tf.evaluation.rendering import (
    HEADER,
    NORMS,
    blocks_of,
    entries_of,
    format_epsilon,
    rows_of,
    threat_of,
    title_of,
)

PLOT = "plots/accuracy_against_epsilon.png"
EXAMPLES_PLOT = "plots/adversarial_examples.png"
CONFUSION_PLOT = "plots/confusion_under_attack.png"


def render(report: Mapping[str, Any]) -> str:
    """The whole report for reading, in Markdown."""
    lines = ["# Robustness report", "", _introduction(report), ""]
    if "sweep" in report:
        lines += ["## Overview", "", *_overview(report), ""]
    for figures in blocks_of(report):
        rows = rows_of(figures, report["examples"])
        lines += [f"## {title_of(report, figures)}", "", *_markdown_table(HEADER, rows), ""]
    lines += [
        "Each attack ran on every correctly classified image; its accuracy is the share of all "
        "examples that are correct before and after. The worst case counts an example only if it "
        "survives every attack listed. Intervals are Wilson's, for the choice of examples alone. "
        "Seconds include compilation.",
        "",
    ]
    if "last" in report:
        lines += ["## Last epoch", "", *_last_epoch(report), ""]
    if "curve" in report:
        lines += _plots(report)
    if "classes" in report:
        lines += [f"## Classes, {threat_of(report)}", "", *_class_table(report["classes"]), ""]
    if "representation" in report:
        lines += [f"## Representation, {threat_of(report)}", "", *_representation(report), ""]
    lines += ["## Settings", ""]
    for figures in blocks_of(report):
        lines += [*_settings(figures), ""]
    lines += ["## Warnings", "", *(f"- {text}" for text in report["warnings"] or ["none"]), ""]
    return "\n".join(lines)


def _introduction(report) -> str:
    named = [report.get("method"), report.get("model")]
    subject = ", ".join(f"`{name}`" for name in named if name)
    if "backbone" in report:
        subject += f", backbone `{report['backbone']}`,"
    subject += " on " if subject else ""
    split = report["split"] if " " in report["split"] else f"the {report['split']} split"
    packages = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return (
        f"What was evaluated: {subject}{split} of `{report['dataset']}`, "
        f"{report['examples']} examples, with seed {report['seed']}. Epsilon is in units of pixels "
        f"in [0, 1]. Software: {packages}."
    )


def _overview(report) -> list[str]:
    """A sweep at a glance, a row for each norm and radius, and what the rest rests on."""
    header = ("threat", "clean %", *(f"{name} %" for name in report["attacks"]), "worst case %")
    rows = [
        (
            threat_of(figures),
            *(f"{100 * entry['accuracy']:.2f}" for _, entry in entries_of(figures)),
        )
        for figures in report["sweep"]
    ]
    return [
        *_markdown_table(header, rows),
        "",
        "One model on the same examples throughout. Plots and the sections on classes and "
        f"representation are of the first threat, {threat_of(report)}.",
    ]


def _last_epoch(report) -> list[str]:
    rows = []
    for (name, best), (_, last) in zip(entries_of(report), entries_of(report["last"]), strict=True):
        shares = 100 * best["accuracy"], 100 * last["accuracy"]
        rows.append((name, *(f"{share:.2f}" for share in shares), f"{shares[1] - shares[0]:+.2f}"))
    return [
        "All other figures are of the weights that were best on the validation split. Those after "
        f"the last epoch, on the same examples under {threat_of(report['last'])}:",
        "",
        *_markdown_table(("", "best %", "last %", "difference"), rows),
        "",
        "Worse under attack after the last epoch, though not on clean images, would be robust "
        "overfitting.",
    ]


def _plots(report) -> list[str]:
    attack, points = report["curve"]["attack"], report["curve"]["points"]
    count = report.get("curve_examples", report["examples"])
    radii = ", ".join(format_epsilon(report["norm"], epsilon) for epsilon, _ in points)
    return [
        "## Accuracy against epsilon",
        "",
        f"`{attack}` in {NORMS[report['norm']]} on {count} of the examples, at epsilon {radii}.",
        "",
        f"![Accuracy under {attack} against epsilon]({PLOT})",
        "",
        f"## Under attack, {threat_of(report)}",
        "",
        f"![Images, perturbations and adversarial images]({EXAMPLES_PLOT})",
        "",
        f"![What each class is taken for in the worst case]({CONFUSION_PLOT})",
        "",
    ]


def _representation(report) -> list[str]:
    """The measures of the embeddings, and how to read them."""
    measures = report["representation"]
    readers = (
        (f"{measures['k']} nearest neighbours", measures["knn"]),
        ("linear probe", measures["linear_probe"]),
    )
    accuracies = [
        (name, *(f"{100 * entry[key]:.2f}" for key in ("clean", "attacked")))
        for name, entry in readers
    ]
    keys = ("intra_class_distance", "inter_class_distance", "adversarial_shift")
    values = [measures[key] for key in (*keys, "alignment", "uniformity")]
    header = ("within a class", "between classes", "clean to attacked", "alignment", "uniformity")
    distances = tuple("none" if value is None else f"{value:.3f}" for value in values)
    return [
        f"L2-normalised backbone features of {measures['examples']} of the examples, read by "
        f"neighbours and a probe that know {measures['training_examples']} clean training images. "
        "The attacked images are the worst case above, found against the classifier: the attacked "
        "columns are no robust accuracies of neighbours and probe, an attack on these would find "
        "more. Images that the classifier gets wrong anyway are not attacked.",
        "",
        *_markdown_table(("", "clean %", "attacked %"), accuracies),
        "",
        "Mean distances, in [0, 2], of clean images and, for those attacked, from clean to "
        "attacked; alignment is the mean squared distance within a class, uniformity the log of "
        "the mean of exp(-2 d²) over all pairs:",
        "",
        *_markdown_table(header, [distances], flush_first=False),
    ]


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
        lines.append(f"- `{text}` at {NORMS[figures['norm']]} {radius}: {_listed(settings)}")
        for name, member in members.items():
            left = f"{100 * member['accuracy']:.2f} % left"
            rest = {key: value for key, value in member.items() if key not in ("accuracy", "seed")}
            lines.append(f"  - {name}, {left}: {_listed(rest)}")
    return lines


def _listed(settings) -> str:
    return ", ".join(f"{key} {_short(value)}" for key, value in settings.items())


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _markdown_table(header, rows, flush_first: bool = True) -> list[str]:
    rule = ["---" if flush_first else "---:", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]
