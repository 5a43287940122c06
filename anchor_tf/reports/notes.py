"""What the tables of a report need said beside them, in plain text."""

from collections.abc import Mapping
from typing import Any

from anchor_tf.reports.rendering import NORMS, format_epsilon, threat_of

NO_ATTACK = "No attack was run: the accuracies are of images that nobody has changed."
_ATTACKS = (
    "Each attack ran on every correctly classified image; its accuracy is the share of all "
    "examples that are correct before and after. The worst case counts an example only if it "
    "survives every attack listed. Intervals are Wilson's, for the choice of examples alone. "
    "Seconds include compilation."
)
OVERFITTING = (
    "Worse under attack after the last epoch, though not on clean images, would be robust "
    "overfitting."
)
DISTANCES = (
    "Mean distances, in [0, 2], of clean images and, for those attacked, from clean to "
    "attacked; alignment is the mean squared distance within a class, uniformity the log of "
    "the mean of exp(-2 d²) over all pairs:"
)


def attacks(report: Mapping[str, Any]) -> str:
    """How to read the accuracies under attack."""
    return _ATTACKS if report["attacks"] else NO_ATTACK


def overview(report: Mapping[str, Any]) -> str:
    """What a sweep rests on."""
    return (
        "One model on the same examples throughout. What follows the threats' own tables is of the "
        f"first, {threat_of(report)}."
    )


def last_epoch(report: Mapping[str, Any]) -> str:
    """Which weights the figures are of."""
    under = f" under {threat_of(report['last'])}" if report["attacks"] else ""
    return (
        "All other figures are of the weights that were best on the validation split. Those after "
        f"the last epoch, on the same examples{under}:"
    )


def curve(report: Mapping[str, Any]) -> str:
    """What follows the name of the attack whose accuracy is drawn against epsilon."""
    count = report.get("curve_examples", report["examples"])
    points = report["curve"]["points"]
    radii = ", ".join(format_epsilon(report["norm"], epsilon) for epsilon, _ in points)
    return f"in {NORMS[report['norm']]} on {count} of the examples, at epsilon {radii}."


def representation(report: Mapping[str, Any]) -> str:
    """How to read the accuracies of neighbours and probe."""
    measures = report["representation"]
    probe = measures["linear_probe"] is not None
    readers = "neighbours and a probe" if probe else "neighbours"
    features = (
        f"L2-normalised backbone features of {measures['examples']} of the examples, read by "
        f"{readers} that know {measures['training_examples']} clean training images. "
    )
    if not report["attacks"]:
        text = f"{features}No attack was run: the attacked columns are of the clean images."
        return text if probe else f"{text} {measures['left_out']}"
    text = features + (
        "The attacked images are the worst case above, found against the classifier: the attacked "
        f"columns are no robust accuracies of neighbours{' and probe' * probe}, an attack on these "
        "would find more. Images that the classifier gets wrong anyway are not attacked."
    )
    return text if probe else f"{text} {measures['left_out']}"
