"""Signs that a robust accuracy is not what it seems; each becomes a warning in the report."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anchor_tf import specs
from anchor_tf.attacks import autoattack
from anchor_tf.evaluation.attack_run import AttackRun, WorstCase
from anchor_tf.evaluation.trial import ANSWERS, Trial
from anchor_tf.models.classifier import Facts
from anchor_tf.specs import Spec
from anchor_tf.threat import Threat

UNBOUNDED = "pgd(steps=40,objective=margin)"
_TOLERATED, _SQUARE_TOLERATED = 0.01, 0.002
_TOLERATED_IMAGES = 2  # where they are a larger share: few images tell little
_CHANCE_EXAMPLES, _CHANCE_DEVIATIONS = 50, 2.33
_WITHOUT_GRADIENT = ("outputs", "another model")  # what an attack may see instead, see `settings`


def output_warnings(facts: Facts) -> list[str]:
    """Warns of probabilities in place of logits, and says how a single output is attacked.

    A saturated softmax or sigmoid hides the gradient.

    Args:
        facts: what the model's outputs on clean images tell.
    """
    return [*facts.warnings(), *facts.notes()]


def chance_warnings(trial: Trial) -> list[str]:
    """Warns of a clean accuracy that is no better than guessing, and of one answer to all images.

    Guessing is a share of 1 / K; 2.33 standard deviations more are chance in all but one case in a
    hundred. Fewer than 50 images, or those of one class, tell too little.

    Args:
        trial: model and images.
    """
    count, classes = len(trial.labels), trial.classes
    if count < _CHANCE_EXAMPLES or len(np.unique(trial.labels)) == 1:
        return []
    guessing = 1.0 / classes
    largest = guessing + _CHANCE_DEVIATIONS * np.sqrt(guessing * (1.0 - guessing) / count)
    accuracy = trial.clean_correct.mean()
    single = len(np.unique(trial.clean_logits.argmax(axis=1))) == 1
    if accuracy > largest and not single:
        return []
    same = ", one class for all images" if single else ""
    return [
        f"the clean accuracy, {100 * accuracy:.1f} %, cannot be told from guessing{same}: the "
        "model may expect other pixels (a Rescaling from 0..255, or a mean and deviation taken off "
        "in training) or number the classes otherwise, or is not trained"
    ]


def model_warnings(trial: Trial) -> list[str]:
    """Warns of outputs that change from call to call, and of input gradients that are zero.

    Args:
        trial: model and images; its first batch is looked at.
    """
    images, labels = trial.full_batch()
    warnings = []
    if trial.random:
        warnings.append(
            "the model's outputs are random: attack it with autoattack(version=rand), which "
            f"averages the gradient; an image counts as broken where most of {ANSWERS} further "
            "answers are wrong, and the clean accuracy is that of one answer"
        )
    gradient = trial.gradient(images, labels)
    flat = (np.abs(gradient.numpy()).reshape(len(images), -1).max(axis=1) == 0.0).mean()
    if flat > _TOLERATED:
        warnings.append(
            f"the gradient is zero on {100 * flat:.0f} % of the images: attacks that follow it "
            "fail there, look at square or autoattack"
        )
    return warnings


def unbounded_warnings(trial: Trial) -> list[str]:
    """Warns where an attacker who may change everything does not reach 0 %.

    Args:
        trial: model and a few images, all of which are attacked at L-inf epsilon 1.
    """
    spec = specs.check(specs.parse(UNBOUNDED), "anchor_tf.attacks", "attack")
    low, high = trial.box
    threat = Threat("linf", high - low, low, high)
    accuracy = AttackRun(trial, spec, threat, WorstCase.before(trial), None).run().accuracy
    if accuracy == 0.0:
        return []
    return [
        f"{100 * accuracy:.1f} % of the images withstand {UNBOUNDED} at epsilon 1, where no image "
        "can: gradients are masked"
    ]


def attack_warnings(results: Sequence, epsilon: float) -> list[str]:
    """Warns of figures that contradict each other.

    That is one step breaking more than many do, many steps fewer than few, or Square or a transfer
    attack, which follow no gradient of this model, what all others left, each by over a point; and
    Square in a suite what the members before it left, by over .2 points; of all, over two images.

    Args:
        results: the `AttackResult`s of one threat.
        epsilon: its radius; iterated attacks whose steps add up to less are not compared with
            FGSM, nor with fewer steps that lead further.
    """
    if not results:
        return []
    examples = len(results[0].robust)
    tolerated = _tolerated(_TOLERATED, examples)
    single = [result for result in results if result.name == "fgsm"]
    iterated = [
        result
        for result in results
        if result.name in ("bim", "pgd")
        and result.settings.get("steps", 0) > 1
        and _reach(result) >= 0.999 * epsilon
    ]
    warnings = [
        f"FGSM stronger than {many.name.upper()}: {one.text} leaves {100 * one.accuracy:.1f} %, "
        f"{many.text} {100 * many.accuracy:.1f} %: gradients may be masked"
        for one in single
        for many in iterated
        if one.accuracy < many.accuracy - tolerated
    ]
    warnings += [
        f"more steps help the defender: {few.text} leaves {100 * few.accuracy:.1f} %, {many.text} "
        f"{100 * many.accuracy:.1f} %: gradients may be masked"
        for few in results
        for many in results
        if few.name == many.name
        and few.settings.get("steps", 0) < many.settings.get("steps", 0)
        and _but_for_steps(few) == _but_for_steps(many)
        and _reach(few) <= 1.001 * _reach(many)
        and few.accuracy < many.accuracy - tolerated
    ]
    return warnings + _masking_warnings(results, tolerated, _tolerated(_SQUARE_TOLERATED, examples))


def _tolerated(share: float, examples: int) -> float:
    """The share of so many images by which figures may contradict each other."""
    return max(share, _TOLERATED_IMAGES / examples)


def _but_for_steps(result) -> dict:
    """Settings that two attacks have to share where more steps are to break more."""
    names = ("steps", "step_size", "members")
    return {name: value for name, value in result.settings.items() if name not in names}


def _reach(result) -> float:
    """How far the steps lead in all; 0 for an attack that chooses their sizes itself."""
    return result.settings.get("steps", 0) * (result.settings.get("step_size") or 0.0)


def _masking_warnings(results: Sequence, tolerated: float, in_suite: float) -> list[str]:
    """Compares attacks that follow no gradient of this model with those that do.

    They stand beside them in the list or, as Square does, behind them in a suite, where less is
    tolerated: its members before are stronger than most that are listed.
    """
    found = []
    for result in results:
        members = result.settings.get("members", {})
        before = None
        for name, member in members.items():
            if _blind(member) and before is not None:
                found.append((f"{result.text} {name}", before - member["accuracy"], in_suite))
            before = member["accuracy"]
        if _blind(result.settings):
            others = [other for other in results if _compared(result, other)]
            if any(map(_strong, others)):
                left = np.logical_and.reduce([other.robust for other in others])
                found.append((result.text, (left & ~result.robust).mean(), tolerated))
    return [
        f"{text} breaks {100 * share:.1f} % that gradient attacks do not: gradients are masked"
        for text, share, allowed in found
        if share > allowed
    ]


def _compared(result, other) -> bool:
    """Whether what another attack left is held against this one: a suite may hold its like."""
    seen = {member.get("access") for member in other.settings.get("members", {}).values()}
    return not _blind(other.settings) and result.settings["access"] not in seen


def _blind(settings: Mapping[str, Any]) -> bool:
    """Whether an attack or a member follows no gradient of this model."""
    return settings.get("access") in _WITHOUT_GRADIENT


def _strong(result) -> bool:
    """Whether an attack takes several steps along gradients: a single step is no measure."""
    parts = result.settings.get("members", {}).values() or [result.settings]
    return any(one.get("access") == "gradients" and one.get("steps", 1) > 1 for one in parts)


def suite_warnings(attacks: Sequence[Spec], classes: int) -> list[str]:
    """Says which members of autoattack cannot run on so few classes.

    Args:
        attacks: checked specs.
        classes: number of the model's classes.
    """
    warnings = []
    for spec in attacks:
        if spec.name == "autoattack":
            version = spec.arguments.get("version", "standard")
            warnings += [
                f"{spec.text} ran without {name}: DLR needs more classes than {classes}"
                for name in autoattack.left_out(classes, version=version)
            ]
    return warnings


def curve_warnings(points: Sequence[tuple[float, float]], examples: int) -> list[str]:
    """Warns of an accuracy that rises with epsilon by over a point, and over two images.

    Args:
        points: (epsilon, accuracy), epsilon rising.
        examples: how many images they rest on.
    """
    accuracies = [accuracy for _, accuracy in points]
    rises = [after - before for before, after in itertools.pairwise(accuracies)]
    if max(rises, default=0.0) <= _tolerated(_TOLERATED, examples):
        return []
    return [f"accuracy rises with epsilon, by {100 * max(rises):.1f} points: the attack fails"]


def instability_warnings(text: str, count: int) -> list[str]:
    """Warns of adversarial images whose logits were not finite; they count as misclassified.

    Args:
        text: the attack's spec.
        count: how many images.
    """
    if not count:
        return []
    return [
        f"{text}: the model's logits are NaN or infinite on {count} adversarial images, "
        "counted as misclassified"
    ]
