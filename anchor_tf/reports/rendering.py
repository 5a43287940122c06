"""A report as text: the table for the console, and what report.md shares with it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from anchor_tf.devices import onednn

HEADER = ("", "accuracy %", "95 % interval", "correct", "seconds")
_DEVIATIONS = 1.959964  # to each side, for 95 %
NORMS = {"linf": "L-inf", "l2": "L2"}


def table(report: Mapping[str, Any]) -> str:
    """The figures as aligned plain text, a block for each norm and radius."""
    blocks = [
        f"{title_of(report, figures)}\n{_aligned([HEADER, *rows_of(figures, report['examples'])])}"
        for figures in blocks_of(report)
    ]
    if "last" in report:
        last = report["last"]
        text = f"weights of the last epoch: clean {100 * last['clean']['accuracy']:.2f} %"
        if last["attacks"]:
            worst = last["worst_case"]["accuracy"]
            text += f", worst case {100 * worst:.2f} % under {threat_of(last)}"
        blocks.append(text)
    return "\n\n".join(blocks)


def wilson_interval(correct: int, examples: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a proportion.

    Args:
        correct: successes, 0 to `examples`.
        examples: trials, at least 1.

    Returns:
        Lower and upper limit, in [0, 1].
    """
    share, square = correct / examples, _DEVIATIONS**2
    centre = share + square / (2 * examples)
    spread = _DEVIATIONS * math.sqrt(
        share * (1 - share) / examples + square / (4 * examples * examples)
    )
    scale = 1 + square / examples
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def format_epsilon(norm: str, epsilon: float) -> str:
    """An L-inf radius in grey levels, "8/255" or "0.5/255", where it is quarters of them.

    A short decimal such as 0.2 stays one.
    """
    levels = round(epsilon * 255 * 4) / 4
    short = abs(epsilon - round(epsilon, 2)) < 1e-7
    if norm == "linf" and 0 < levels < 255 and abs(epsilon * 255 - levels) < 1e-4 and not short:
        return f"{levels:g}/255"
    return f"{epsilon:.4g}"


def format_threat(norm: str, epsilon: float) -> str:
    """A threat in words, "L-inf epsilon 8/255"."""
    return f"{NORMS[norm]} epsilon {format_epsilon(norm, epsilon)}"


def threat_of(figures: Mapping[str, Any]) -> str:
    """`format_threat` of a report or of an entry of its sweep."""
    return format_threat(figures["norm"], figures["epsilon"])


def attacks_of(report: Mapping[str, Any]) -> list[Mapping[str, Any] | None]:
    """The attack of each phase of the training, None where there was none; [] if not known."""
    return [phase["attack"] for phase in report.get("phases", {}).values()]


def attack_in_words(attack: Mapping[str, Any]) -> str:
    """A training attack, "pgd of 10 steps"."""
    steps, at_most = attack["steps"], "at most " * attack.get("at_most", False)
    return f"{attack['name']} of {at_most}{steps} step{'s' * (steps != 1)}"


def machine_in_words(machine: Mapping[str, Any]) -> str:
    """What computed the figures: what `devices.machine.describe` returned."""
    threads = f"{machine['threads']} threads on {machine['cores']} cores"
    return ", ".join([machine["processor"], onednn.in_words(machine), threads, *machine["gpus"]])


def parts_of(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The settings of an attack's members, or of itself where it is no suite."""
    settings = entry.get("settings", {})
    return list(settings.get("members", {}).values()) or [settings]


def blocks_of(report: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The figures of each threat."""
    return report.get("sweep") or [report]


def title_of(report: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    """What the figures of a threat are figures of."""
    subject = f"{report['dataset']} {report['split']}"
    return f"{subject}, {report['examples']} examples, {threat_of(figures)}"


def entries_of(figures: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Clean, each attack, and the worst case if there is any attack."""
    worst = [("worst case", figures["worst_case"])] if figures["attacks"] else []
    return [("clean", figures["clean"]), *figures["attacks"].items(), *worst]


def rows_of(figures: Mapping[str, Any], examples: int) -> list[tuple[str, ...]]:
    """The cells under `HEADER`."""
    rows = []
    for name, entry in entries_of(figures):
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
