"""report.html: the whole report as one file that needs no other, for people who train no networks.

It holds what report.json holds, and the plots; it loads nothing and runs nothing.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from anchor_tf.reports import drawing, notes, tables
from anchor_tf.reports.html_elements import (
    bar,
    bullets,
    code,
    facts,
    page,
    paragraph,
    picture,
    section,
    table,
    text,
)
from anchor_tf.reports.rendering import (
    HEADER,
    attack_in_words,
    attacks_of,
    blocks_of,
    entries_of,
    format_threat,
    machine_in_words,
    rows_of,
    threat_of,
    wilson_interval,
)


def render(report: Mapping[str, Any], folder: pathlib.Path) -> str:
    """The page.

    Args:
        report: what `report.build` returned.
        folder: holds plots/; a plot that is not there is left out.
    """
    sections = [
        ("training", "What was trained, and how", _training(report)),
        ("attacks", "Accuracy under attack", _attacks(report)),
        ("last", "Last epoch", _last_epoch(report)),
        ("epsilon", "Accuracy against epsilon", _curve(report, folder)),
        ("classes", "Classes", _classes(report)),
        ("confusions", "Worst confusions", _confusions(report, folder)),
        ("examples", "Adversarial examples", _examples(report, folder)),
        ("representation", "Representation", _representation(report)),
        ("warnings", "Warnings", _warnings(report)),
        ("settings", "Settings of the attacks", _settings(report)),
        ("again", "How to make it again", _commands(report)),
    ]
    shown = [entry for entry in sections if any(entry[2])]
    links = bullets(f'<a href="#{name}">{text(title)}</a>' for name, title, _ in shown)
    title = f"Robustness report: {_name(report)} on {report['dataset']}"
    body = [
        f"<header>\n<h1>{text(title)}</h1>\n{_summary(report)}</header>",
        f'<nav aria-label="Contents">{links}</nav>',
        "<main>",
        *(section(*entry) for entry in shown),
        "</main>",
    ]
    return page(title, "\n".join(body))


def _name(report) -> str:
    return report.get("method") or report.get("model") or "a classifier"


def _summary(report) -> str:
    """The figures to remember."""
    count = report["examples"]
    split = report["split"] if " " in report["split"] else f"{report['split']} split"
    entries = [
        ("Right without an attack", _with_interval(report["clean"]["accuracy"], count)),
        ("Images", f"{count:,}<small>{text(split)} of {text(report['dataset'])}</small>"),
    ]
    worst = _with_interval(report["worst_case"]["accuracy"], count)
    attacker = f"{text(threat_of(report))}<small>pixels in [0, 1]</small>"
    if report["attacks"]:
        entries[1:1] = [("Right in the worst case", worst), ("Attacker", attacker)]
    return facts(entries, "figures")


def _with_interval(accuracy: float, count: int) -> str:
    lower, upper = wilson_interval(round(accuracy * count), count)
    return f"{100 * accuracy:.1f} %<small>{100 * lower:.1f} to {100 * upper:.1f}, 95 %</small>"


def _training(report) -> list[str]:
    """The configuration, in the order in which one would ask for it."""
    entries = [("Method", code(report["method"]))] if "method" in report else []
    entries += [("Model file", code(report["model"]))] if "model" in report else []
    if "backbone" in report:
        size = f", {report['parameters']:,} parameters" if "parameters" in report else ""
        entries.append(("Network", code(report["backbone"]) + size))
    images = code(report["dataset"])
    if "image_shape" in report:
        height, width, channels = report["image_shape"]
        images += f", {height}x{width} pixels, {'grey' if channels == 1 else 'colour'}"
    if "training_images" in report:
        images += f", {report['training_images']:,} for training"
    entries.append(("Images", images))
    if "training" in report:
        entries += _configuration(report["training"], report.get("phases", {}))
    if "training_seconds" in report:
        entries.append(("Time of training", f"{report['training_seconds']:,.0f} seconds"))
    if "image_passes" in report:
        early = any(attack and attack.get("at_most") for attack in attacks_of(report))
        times = f"{'at most ' * early}{report['image_passes']:,.0f}"
        cost = f"each training image went through the network {times} times, attacks included"
        entries.append(("Cost", cost))
    if "machine" in report:
        entries.append(("Evaluated on", text(machine_in_words(report["machine"]))))
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return [facts([*entries, ("Software", text(versions))])]


def _configuration(
    training: Mapping[str, Any], phases: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """What config.json says, without what was left off."""
    entries = []
    if "train" in phases:
        entries.append(("Attack in training", text(_attack(phases["train"], training))))
    if training["epochs"]:
        entries += [
            ("Epochs", f"{training['epochs']}, batches of {training['batch_size']}"),
            ("Learning rate", f"{training['learning_rate']:g} at its peak"),
            ("Weights kept", f"{text(training['select'])} epoch's"),
        ]
    if "finetune" in phases:
        entries.append(("Fine-tuning", _finetuning(phases["finetune"], training)))
    entries += [("Augmentation", code(training["augment"])), ("Seed", str(training["seed"]))]
    options = ("weight_decay", "label_smoothing", "ema_decay", "awp", "clip_norm")
    given = ", ".join(f"{name} {training[name]:g}" for name in options if training[name])
    if given:
        entries.append(("Regularisation", text(given)))
    if training["precision"] != "float32":
        entries.append(("Precision", text(training["precision"])))
    if training["init_from"] is not None:
        entries.append(("Started from", code(training["init_from"])))
    return entries


def _attack(phase: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    """What the images of a phase were attacked with."""
    attack = phase["attack"]
    if attack is None:
        return "none"
    threat = format_threat(training["norm"], training["epsilon"])
    return f"{attack_in_words(attack)}, {threat}"


def _finetuning(phase: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    attack = phase["attack"]
    return (
        f"{code(phase['mode'])}, {phase['epochs']} epochs of batches of {training['batch_size']} "
        f"at {training['finetune_learning_rate']:g} with {text(training['finetune_optimizer'])}, "
        + text(f"attack {_attack(phase, training)}" if attack else "without attack")
    )


def _attacks(report) -> list[str]:
    """A table with bars for each threat, a sweep's overview before them."""
    parts = []
    if "sweep" in report:
        parts += [table(*tables.overview(report)), paragraph(text(notes.overview(report)), "note")]
    count = report["examples"]
    for figures in blocks_of(report):
        bars = []
        for _, entry in entries_of(figures):
            interval = wilson_interval(round(entry["accuracy"] * count), count)
            bars.append(bar(entry["accuracy"], interval))
        rows = rows_of(figures, count)
        parts += [
            f"<h3>{text(threat_of(figures))}</h3>",
            table(("attack", *HEADER[1:]), rows, charts=("0 to 100 %", bars)),
        ]
    return [*parts, paragraph(text(notes.attacks(report)), "note")]


def _last_epoch(report) -> list[str]:
    if "last" not in report:
        return []
    return [
        paragraph(text(notes.last_epoch(report))),
        table(*tables.last_epoch(report)),
        paragraph(text(notes.OVERFITTING), "note"),
    ]


def _curve(report, folder: pathlib.Path) -> list[str]:
    if "curve" not in report:
        return []
    attack = report["curve"]["attack"]
    caption = f"{code(attack)} {text(notes.curve(report))}"
    described = f"Accuracy under {attack} against epsilon"
    plot = picture(folder / drawing.EPSILON_PLOT, described, caption)
    return [plot or paragraph(caption), table(*tables.curve(report))]


def _classes(report) -> list[str]:
    if "classes" not in report:
        return []
    note = f"Under {threat_of(report)}; the worst case is over all attacks."
    said = [paragraph(text(note), "note")] if report["attacks"] else []
    return [*said, table(*tables.classes(report))]


def _confusions(report, folder: pathlib.Path) -> list[str]:
    """The most frequent ones as a table, and all of them as a picture."""
    if not report.get("confusions"):
        return []
    if not report["attacks"]:
        return [table(*tables.confusions(report), words=2)]
    caption = text(f"In the worst case under {threat_of(report)}: class against answer.")
    described = "What each class is taken for in the worst case"
    plot = picture(folder / drawing.CONFUSION_PLOT, described, caption)
    return [table(*tables.confusions(report), words=2), plot]


def _examples(report, folder: pathlib.Path) -> list[str]:
    if "curve" not in report or not report["attacks"]:
        return []
    caption = (
        "Each row: the image with its class, the perturbation (stretched as often as it says), the "
        f"attacked image with the answer it gets. {threat_of(report)}."
    )
    described = "Images, perturbations and adversarial images side by side"
    return [picture(folder / drawing.EXAMPLES_PLOT, described, text(caption))]


def _representation(report) -> list[str]:
    if "representation" not in report:
        return []
    return [
        paragraph(text(notes.representation(report))),
        table(*tables.readers(report)),
        paragraph(text(notes.DISTANCES)),
        table(*tables.distances(report), words=0),
    ]


def _warnings(report) -> list[str]:
    if not report["warnings"]:
        return [paragraph("None: nothing in this evaluation looked odd.")]
    return [bullets((text(warning) for warning in report["warnings"]), "alerts")]


def _settings(report) -> list[str]:
    items = []
    for figures in blocks_of(report):
        for name, own, members in tables.settings(figures):
            inner = bullets(f"{text(member)}, {text(of)}" for member, of in members)
            items.append(f"{code(name)} {text(own)}{inner if members else ''}")
    return [bullets(items)] if items else []


def _commands(report) -> list[str]:
    """What to type, and how equal the outcome will be."""
    if not report.get("commands"):
        return []
    commands = "\n".join(report["commands"])
    note = (
        "The random numbers belong to seed and example: on a CPU with the same instruction "
        "sets and number of threads, oneDNN set alike and the software above, the figures are the "
        "same, elsewhere equal up to rounding."
    )
    return [f"<pre><code>{text(commands)}</code></pre>", paragraph(text(note), "note")]
