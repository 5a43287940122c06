"""The tables of a report, as cells: report.md and report.html set them each in its own way."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from anchor_tf.reports.rendering import NORMS, entries_of, format_epsilon, threat_of

Table = tuple[Sequence[str], list[tuple[str, ...]]]
"""A header and rows under it, the first cell of each being its name."""


def overview(report: Mapping[str, Any]) -> Table:
    """A sweep at a glance, a row for each norm and radius."""
    header = ("threat", *(f"{name} %" for name, _ in entries_of(report)))
    rows = [
        (
            threat_of(figures),
            *(f"{100 * entry['accuracy']:.2f}" for _, entry in entries_of(figures)),
        )
        for figures in report["sweep"]
    ]
    return header, rows


def last_epoch(report: Mapping[str, Any]) -> Table:
    """The weights that were kept beside those after the last epoch."""
    rows = []
    for (name, best), (_, last) in zip(entries_of(report), entries_of(report["last"]), strict=True):
        shares = 100 * best["accuracy"], 100 * last["accuracy"]
        rows.append((name, *(f"{share:.2f}" for share in shares), f"{shares[1] - shares[0]:+.2f}"))
    return ("", "best %", "last %", "difference"), rows


def curve(report: Mapping[str, Any]) -> Table:
    """Accuracy against epsilon."""
    rows = [
        (format_epsilon(report["norm"], epsilon), f"{100 * accuracy:.2f}")
        for epsilon, accuracy in report["curve"]["points"]
    ]
    return ("epsilon", "accuracy %"), rows


def classes(report: Mapping[str, Any]) -> Table:
    """Accuracies per class."""
    shown = ("clean", "worst_case") if report["attacks"] else ("clean",)
    rows = [
        (name, str(entry["examples"]), *(f"{100 * entry[key]:.1f}" for key in shown))
        for name, entry in report["classes"].items()
    ]
    return ("class", "examples", "clean %", "worst case %")[: 2 + len(shown)], rows


def confusions(report: Mapping[str, Any]) -> Table:
    """Which class is taken for which other most often in the worst case."""
    rows = [
        (
            entry["class"],
            entry["answer"],
            str(entry["examples"]),
            f"{100 * entry['share']:.1f}",
        )
        for entry in report["confusions"]
    ]
    return ("class", "taken for", "examples", "share of the class %"), rows


def readers(report: Mapping[str, Any]) -> Table:
    """Accuracies of neighbours and of the linear probe on the embeddings."""
    measures = report["representation"]
    named = (
        (f"{measures['k']} nearest neighbours", measures["knn"]),
        ("linear probe", measures["linear_probe"]),
    )
    rows = [
        (name, *(f"{100 * entry[key]:.2f}" for key in ("clean", "attacked")))
        for name, entry in named
        if entry is not None
    ]
    return ("", "clean %", "attacked %"), rows


def distances(report: Mapping[str, Any]) -> Table:
    """Mean distances of the embeddings, alignment and uniformity: one row without a name."""
    measures = report["representation"]
    keys = ("intra_class_distance", "inter_class_distance", "adversarial_shift")
    values = [measures[key] for key in (*keys, "alignment", "uniformity")]
    header = ("within a class", "between classes", "clean to attacked", "alignment", "uniformity")
    return header, [tuple("none" if value is None else f"{value:.3f}" for value in values)]


def settings(figures: Mapping[str, Any]) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """Of each attack its spec, its settings, and of each member name and settings."""
    radius = format_epsilon(figures["norm"], figures["epsilon"])
    for text, entry in figures["attacks"].items():
        listed = dict(entry["settings"])
        members = [
            (name, f"{100 * member['accuracy']:.2f} % left: {_listed(_own(member))}")
            for name, member in listed.pop("members", {}).items()
        ]
        yield text, f"at {NORMS[figures['norm']]} {radius}: {_listed(listed)}", members


def _own(member: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in member.items() if key not in ("accuracy", "seed")}


def _listed(entries: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_short(value)}" for key, value in entries.items())


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
