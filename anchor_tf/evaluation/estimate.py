"""What an evaluation will take, before it takes it."""

import importlib
import statistics
import time
from collections.abc import Sequence

from anchor_tf import specs
from anchor_tf.evaluation.members import members_of
from anchor_tf.evaluation.trial import Trial
from anchor_tf.specs import Spec

_TIMED = 3


def seconds_an_image(trial: Trial, attacks: Sequence[Spec]) -> float:
    """Estimates the time that attacks take for an image that withstands them all.

    Times a forward pass and an input gradient on one batch and multiplies them by what each attack
    says it needs: its module's `passes(...)`, (forward passes, gradients) an image, for the same
    keyword arguments and `classes`, their number. An attack that does not say so counts nothing.

    Args:
        trial: model and images.
        attacks: checked specs.
    """
    images, labels = trial.full_batch()
    forward = _seconds(lambda: trial.classify(images)) / trial.batch_size
    gradient = _seconds(lambda: trial.gradient(images, labels)) / trial.batch_size
    total = 0.0
    for spec in attacks:
        for member in members_of(spec, trial.classes):
            forwards, gradients = passes_of(member.spec, trial.classes)
            total += forwards * forward + gradients * gradient
    return total


def passes_of(spec: Spec, classes: int) -> tuple[int, int]:
    """Forward passes and gradients that an attack needs for an image that withstands it."""
    attack = specs.load(spec, "anchor_tf.attacks")
    module = importlib.import_module(attack.__module__)
    if not hasattr(module, "passes"):
        return 0, 0
    return module.passes(classes=classes, **specs.arguments_of(attack, spec))


def _seconds(function) -> float:
    """The median of a few calls after the first."""
    times = []
    for _ in range(_TIMED + 1):
        began = time.perf_counter()
        function().numpy()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])
