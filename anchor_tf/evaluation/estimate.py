"""What an evaluation will take, before it takes it."""

import dataclasses
import importlib
import statistics
import time
from collections.abc import Sequence

from anchor_tf import specs
from anchor_tf.evaluation.members import members_of
from anchor_tf.evaluation.trial import Trial
from anchor_tf.specs import Spec

_TIMED = 3


@dataclasses.dataclass(frozen=True)
class Work:
    """Passes through a network, of one image each.

    Attributes:
        forwards: passes without a gradient.
        gradients: input gradients.
    """

    forwards: int = 0
    gradients: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(self.forwards + other.forwards, self.gradients + other.gradients)

    def times(self, count: int) -> "Work":
        """The same, so many times over."""
        return Work(self.forwards * count, self.gradients * count)


def work_of(attacks: Sequence[Spec], classes: int) -> Work:
    """What attacks cost for an image that withstands them all, each round classified afterwards.

    Args:
        attacks: checked specs; one that does not say what it needs counts its rounds alone.
        classes: number of the model's classes.
    """
    total = Work()
    for spec in attacks:
        for member in members_of(spec, classes):
            forwards, gradients = passes_of(member.spec, classes) or (0, 0)
            total += Work(forwards + len(member.rounds.numbers), gradients)
    return total


def seconds(trial: Trial, work: Work) -> float:
    """Estimates the time that work takes, from passes of one batch that are timed here.

    Args:
        trial: model and images.
        work: of all images together.
    """
    images, labels = trial.full_batch()
    forward = _seconds(lambda: trial.classify(images)) / trial.batch_size
    gradient = _seconds(lambda: trial.gradient(images, labels)) / trial.batch_size
    return work.forwards * forward + work.gradients * gradient


def untold(attacks: Sequence[Spec], classes: int) -> list[str]:
    """The texts of the attacks that do not say how many passes they need."""
    return [
        spec.text
        for spec in attacks
        if not all(passes_of(member.spec, classes) for member in members_of(spec, classes))
    ]


def passes_of(spec: Spec, classes: int) -> tuple[int, int] | None:
    """Forward passes and gradients that an attack needs for an image that withstands it.

    Its module says so: `passes(...)` takes the attack's keyword arguments and `classes`, their
    number. None where there is no such function.
    """
    attack = specs.load(spec, "anchor_tf.attacks")
    module = importlib.import_module(attack.__module__)
    if not hasattr(module, "passes"):
        return None
    return module.passes(classes=classes, **specs.arguments_of(attack, spec))


def _seconds(function) -> float:
    """The median of a few calls after the first."""
    times = []
    for _ in range(_TIMED + 1):
        began = time.perf_counter()
        function().numpy()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])
