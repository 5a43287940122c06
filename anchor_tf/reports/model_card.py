"""model_card.md: what a model is for and what it is not, from what was measured, in plain words."""

from collections.abc import Mapping
from typing import Any

from anchor_tf.reports import escaping
from anchor_tf.reports.escaping import code as _code
from anchor_tf.reports.rendering import (
    NORMS,
    blocks_of,
    format_epsilon,
    format_threat,
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
    items = [
        f"Images like those of {_code(report['dataset'])}, each of which shows one of the classes "
        "above; on images of another source its accuracy has to be measured first.",
    ]
    attacked = [one["worst_case"]["accuracy"] for one in blocks_of(report) if one["epsilon"] > 0]
    if not attacked or not report["attacks"]:
        items.append("Uses in which nobody tampers with the pixels: no attack was measured.")
    elif min(attacked) < 0.5:
        items.append(
            "Uses in which nobody tampers with the pixels: of the attacked images it got more "
            f"than half wrong, {100 - 100 * min(attacked):.1f} %."
        )
    else:
        items.append(
            "Uses in which somebody may tamper with the pixels, within the limits that were "
            "measured below and with errors as frequent as there."
        )
    items.append("A decision that must not be wrong needs a check beside this model.")
    return items


def _measured(report) -> list[str]:
    """Accuracies in sentences, with the uncertainty of the choice of images."""
    count = report["examples"]
    split = report["split"] if " " in report["split"] else f"the {report['split']} split"
    items = [f"Without an attack, on {split}: {_share(report['clean']['accuracy'], count)}."]
    attacks = ", ".join(_code(name) for name in report["attacks"])
    for figures in blocks_of(report):
        if figures["attacks"] and figures["epsilon"] > 0:
            items.append(
                f"Against an attacker who knows the network and {_power(figures)}: "
                f"{_share(figures['worst_case']['accuracy'], count)}. An image counts as right "
                f"only if it withstands all of {attacks}."
            )
    items += _weakest(report)
    if "last" in report:
        items.append("These are the weights of the best epoch on the validation split.")
    return items


def _weakest(report) -> list[str]:
    """The class that falls first, and what it is taken for."""
    classes = report.get("classes", {})
    if len(classes) < 2 or not report["attacks"]:
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
            f"The most frequent confusion under attack is {_code(worst['class'])} taken for "
            f"{_code(worst['answer'])}, {worst['examples']} times."
        )
    return items


def _limits(report) -> list[str]:
    """What was found to break it, and what nobody tried."""
    items = _larger_changes(report)
    norms = {figures["norm"] for figures in blocks_of(report) if figures["epsilon"] > 0}
    untried = [words for norm, words in _NORM_LIMITS.items() if norm not in norms]
    items += [f"{words} Not measured, hence not claimed." for words in (*untried, *_UNTRIED)]
    items.append(
        "Stronger attacks: every figure under attack is an upper limit, which a better attack may "
        "lower." + ("" if _standard(report) else " AutoAttack, the usual yardstick, was not run.")
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
    points = [point for point in report.get("curve", {}).get("points", ()) if point[0] > 0]
    if not points:
        return ["Changes larger than those measured above."]
    radius, accuracy = max(points)
    count = report.get("curve_examples", report["examples"])
    return [
        f"Larger changes: at {NORMS[report['norm']]} {format_epsilon(report['norm'], radius)} it "
        f"was right on {100 * accuracy:.1f} % of {count} images under "
        f"{_code(report['curve']['attack'])}."
    ]


def _origin(report) -> list[str]:
    """Training, commands and versions, as far as they are known."""
    items = ["How it was trained is not known to the evaluation."]
    if "training" in report:
        training = report["training"]
        images = f"{report['training_images']:,} images" if "training_images" in report else ""
        threat = format_threat(training["norm"], training["epsilon"])
        items = [
            f"Trained by the method {_code(training['method'])} on {images or 'the images'} of "
            f"{_code(training['dataset'])} for {training['epochs']} epochs, with the threat "
            f"{threat} and seed {training['seed']}."
        ]
    items += [f"Made again by {_code(command)}" for command in report.get("commands", ())]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return [*items, f"Software: {versions}."]


def _standard(report) -> bool:
    versions = ("autoattack", "autoattack(version=standard)", "autoattack(version=plus)")
    return any(version in report["attacks"] for version in versions)


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
