"""model_card.md: what a model is for and what it is not, from what was measured, in plain words."""

from collections.abc import Mapping
from typing import Any

from anchor_tf import specs
from anchor_tf.reports import escaping
from anchor_tf.reports.escaping import code as _code
from anchor_tf.reports.rendering import (
    NORMS,
    attack_in_words,
    blocks_of,
    format_epsilon,
    format_threat,
    parts_of,
    wilson_interval,
)

_NAMES = 20  # of classes, listed at most


def render(report: Mapping[str, Any]) -> str:
    """The card in Markdown; says of each thing that was not measured that it was not."""
    sections = {
        "What it is": _description(report),
        "Intended use": _intended(report),
        "What was measured": _measured(report),
        "What it does not protect against": _limits(report),
        "Warnings of the evaluation": list(map(escaping.item, report["warnings"])) or ["none"],
        "How it was made": _origin(report),
    }
    name = report.get("method") or report.get("model") or "a classifier"
    lines = [f"# Model card: {_code(name)} on {_code(report['dataset'])}", ""]
    for title, items in sections.items():
        lines += [f"## {title}", "", *(f"- {item}" for item in items), ""]
    return "\n".join(lines)


def _description(report) -> list[str]:
    """What goes in and what comes out."""
    names = list(report.get("classes", ()))
    listed = ", ".join(_code(name) for name in names[:_NAMES])
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    images = "images"
    if "image_shape" in report:
        height, width, channels = report["image_shape"]
        images = f"{'grey' if channels == 1 else 'colour'} images of {height}x{width} pixels"
    items = [f"It tells of {images} which of these classes they show: {listed}{more}."]
    if not names:
        items = [f"It sorts {images} into classes."]
    if "backbone" in report:
        size = f" of {report['parameters']:,} numbers" if "parameters" in report else ""
        items.append(f"The network{size} is {_code(report['backbone'])}.")
    return items


def _intended(report) -> list[str]:
    """What the figures speak for."""
    clean, guess = report["clean"]["accuracy"], _guessing(report)
    lower, _ = wilson_interval(round(clean * report["examples"]), report["examples"])
    if guess is not None and lower <= guess:
        return [
            f"None: without an attack it was right on {100 * clean:.1f} % of the images, which is "
            f"not clearly more than the {100 * guess:.1f} % of always naming the most frequent "
            "class."
        ]
    classes = "the classes above" if report.get("classes") else "its classes"
    return [
        f"Images like those of {_code(report['dataset'])}, each of which shows one of {classes}; "
        "on images of another source its accuracy has to be measured first.",
        f"Uses that can bear a wrong answer for {100 - 100 * clean:.1f} % of the images, as many "
        "as it got wrong without an attack.",
        _tampering(report),
        "A decision that must not be wrong needs a check beside this model.",
    ]


def _guessing(report) -> float | None:
    """The accuracy of whoever always names the most frequent class; None if it is not known."""
    counts = [entry["examples"] for entry in report.get("classes", {}).values()]
    return max(counts) / sum(counts) if counts else None


def _tampering(report) -> str:
    """Whether the figures speak for uses in which the pixels may be tampered with."""
    attacked = [one["worst_case"]["accuracy"] for one in _attacked(report)]
    nobody = "Uses in which nobody tampers with the pixels"
    if not attacked:
        return f"{nobody}: no attack was measured."
    if min(attacked) < 0.5:
        return (
            f"{nobody}: under attack it got more than half of the images wrong, "
            f"{100 - 100 * min(attacked):.1f} %."
        )
    if not any(map(_measures, report["attacks"].values())):
        return (
            f"{nobody}: no attack was run that takes several steps along the network's gradients, "
            "and others are no measure."
        )
    if report["warnings"]:
        return f"{nobody}: the evaluation warns, see below."
    return (
        "Uses in which somebody may tamper with the pixels, within the limits that were measured "
        "below and with errors as frequent as there."
    )


def _attacked(report) -> list[Mapping[str, Any]]:
    """The figures of the threats under which the images could be attacked, and were."""
    return [one for one in blocks_of(report) if one["attacks"] and one["epsilon"] > 0]


def _measures(entry: Mapping[str, Any]) -> bool:
    """Whether an attack, or a member of it, takes several steps along the network's gradients."""
    return any(
        part.get("access") == "gradients" and part.get("steps", 1) > 1 for part in parts_of(entry)
    )


def _measured(report) -> list[str]:
    """Accuracies in sentences, with the uncertainty of the choice of images."""
    count = report["examples"]
    split = report["split"] if " " in report["split"] else f"the {report['split']} split"
    items = [f"Without an attack, on {split}: {_share(report['clean']['accuracy'], count)}."]
    attacks = ", ".join(_code(name) for name in report["attacks"])
    for figures in _attacked(report):
        items.append(
            f"Against an attacker who {_knowledge(figures)}{_power(figures)}: "
            f"{_share(figures['worst_case']['accuracy'], count)}. An image counts as right only "
            f"if it withstands {'all of ' * (len(report['attacks']) > 1)}{attacks}."
        )
    items += _weakest(report)
    if "last" in report:
        items.append("These are the weights of the best epoch on the validation split.")
    return items


def _weakest(report) -> list[str]:
    """The class that falls first, and what it is taken for."""
    classes = report.get("classes", {})
    if not report["attacks"] or len({entry["worst_case"] for entry in classes.values()}) < 2:
        return []
    weakest = min(classes, key=lambda name: classes[name]["worst_case"])
    entry = classes[weakest]
    items = [
        f"The weakest class under attack is {_code(weakest)}: "
        f"{_share(entry['worst_case'], entry['examples'])}."
    ]
    if report.get("confusions"):
        worst = report["confusions"][0]
        items.append(
            f"The most frequent confusion in the worst case is {_code(worst['class'])} taken for "
            f"{_code(worst['answer'])}, on {worst['examples']} of the images."
        )
    return items


def _limits(report) -> list[str]:
    """What was found to break it, and what nobody tried."""
    items = _larger_changes(report)
    norms = {figures["norm"] for figures in _attacked(report)}
    untried = [words for norm, words in _NORM_LIMITS.items() if norm not in norms]
    items += [f"{words} Not measured, hence not claimed." for words in (*untried, *_UNTRIED)]
    if report["attacks"]:
        items.append(
            "Stronger attacks: every figure under attack is an upper limit, which a better attack "
            "may lower."
            + ("" if _standard(report) else " AutoAttack, the usual yardstick, was not run.")
        )
    items.append(
        "Images of something else: it names one of its classes whatever it is shown, and may be "
        "sure of it."
    )
    items.append(
        "Whoever alters the training images or the model's file, copies the model by asking it, "
        "or asks what it was trained on."
    )
    return items


_NORM_LIMITS = {
    "linf": "A small change of every pixel at once (L-inf).",
    "l2": "A larger change of a few pixels, or one spread unevenly (L2).",
}
_UNTRIED = (
    "Rotations, shifts, crops, blur, noise, weather, compression; stickers and patches laid over a "
    "part of the image.",
)


def _larger_changes(report) -> list[str]:
    """How it fares at the largest radius of the curve."""
    measured = max((one["epsilon"] for one in _same_norm(report)), default=0.0)
    points = [p for p in report.get("curve", {}).get("points", ()) if p[0] > measured]
    if not points:
        return ["Changes larger than those measured above."]
    radius, accuracy = max(points)
    count = report.get("curve_examples", report["examples"])
    return [
        f"Larger changes: at {NORMS[report['norm']]} {format_epsilon(report['norm'], radius)} it "
        f"was right on {100 * accuracy:.1f} % of {count} images under "
        f"{_code(report['curve']['attack'])}."
    ]


def _same_norm(report) -> list[Mapping[str, Any]]:
    """The figures under attack in the norm of the curve."""
    return [one for one in _attacked(report) if one["norm"] == report["norm"]]


def _origin(report) -> list[str]:
    """Training, commands and versions, as far as they are known."""
    items = ["How it was trained is not known to the evaluation."]
    if "training" in report:
        training = report["training"]
        images = f"{report['training_images']:,} images" if "training_images" in report else ""
        items = [
            f"Trained by the method {_code(training['method'])} on {images or 'the images'} of "
            f"{_code(training['dataset'])}, with seed {training['seed']}."
        ]
        items += [
            f"Phase {name}: {phase['epochs']} epochs, {_training_attack(phase, training)}."
            for name, phase in report.get("phases", {}).items()
        ]
    items += [f"Made again by {_code(command)}" for command in report.get("commands", ())]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return [*items, f"Software: {versions}."]


def _training_attack(phase: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    attack = phase["attack"]
    if attack is None:
        return "on images that are not attacked"
    threat = format_threat(training["norm"], training["epsilon"])
    return f"on images attacked by {attack_in_words(attack)}, {threat}"


def _standard(report) -> bool:
    """Whether AutoAttack ran as it is compared by: standard, or plus, which holds it."""
    listed = [specs.parse(text) for text in report["attacks"]]
    versions = [s.arguments.get("version", "standard") for s in listed if s.name == "autoattack"]
    return bool({"standard", "plus"} & set(versions))


def _knowledge(figures) -> str:
    """What the attacks saw of the network; nothing is said of one that does not tell."""
    seen = {part.get("access") for entry in figures["attacks"].values() for part in parts_of(entry)}
    if "gradients" in seen:
        return "knows the network and "
    if seen == {"outputs"}:
        return "sees only what the network answers and "
    if seen == {"another model"}:
        return "knows another network and "
    return ""


def _power(figures) -> str:
    """What an attacker may do."""
    radius = format_epsilon(figures["norm"], figures["epsilon"])
    if figures["norm"] == "linf":
        return f"may make every pixel lighter or darker by {radius} of the way from black to white"
    return f"may change the pixels by {radius} in all (L2, the way from black to white being 1)"


def _share(accuracy: float, count: int) -> str:
    correct = round(accuracy * count)
    lower, upper = wilson_interval(correct, count)
    return (
        f"{correct} of {count} images right, {100 * accuracy:.1f} % "
        f"(95 % interval {100 * lower:.1f} to {100 * upper:.1f})"
    )
