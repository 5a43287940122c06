"""One attack over a whole data set: its members and rounds, each on the survivors alone."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from anchor_tf.evaluation import settings
from anchor_tf.evaluation.members import members_of
from anchor_tf.evaluation.progress import Progress
from anchor_tf.evaluation.trial import NOT_FINITE, Trial
from anchor_tf.specs import Spec
from anchor_tf.threat import Threat


@dataclasses.dataclass(frozen=True)
class AttackResult:
    """One attack's outcome, whatever else was run.

    Attributes:
        name: of the attack.
        text: its spec as given, without spaces.
        accuracy: share of all N examples classified correctly before and after the attack.
        seconds: wall time, over all continuations, tracing and compilation included: the first
            batch pays for them.
        settings: every setting it ran with.
        robust: bool [N], classified correctly before and after.
    """

    name: str
    text: str
    accuracy: float
    seconds: float
    settings: dict[str, Any]
    robust: np.ndarray


@dataclasses.dataclass
class WorstCase:
    """What all attacks so far left, changed in place.

    Attributes:
        robust: bool [N], correct on the clean image and under every attack.
        predictions: int [N], the model's on the image that broke an example, else its last.
        images: float32 [N, H, W, C] likewise, or None if they are not kept.
    """

    robust: np.ndarray
    predictions: np.ndarray
    images: np.ndarray | None

    @classmethod
    def before(cls, trial: Trial, keep_images: bool = False) -> Self:
        """What is left before the first attack."""
        images = trial.pixels(slice(None)) if keep_images else None
        return cls(trial.clean_correct.copy(), trial.clean_logits.argmax(axis=1), images)


class AttackRun:
    """One listed attack on every correctly classified image, member by member, round by round.

    Args:
        trial: model and images.
        spec: a checked spec.
        threat: norm, radius and box.
        worst_case: what the attacks before it left; brought up to date batch by batch.
        progress: called with a `Progress` after each batch, or None.

    Attributes:
        unstable: how many adversarial images gave logits that are not finite.
    """

    def __init__(
        self,
        trial: Trial,
        spec: Spec,
        threat: Threat,
        worst_case: WorstCase,
        progress: Callable[[Progress], None] | None,
    ):
        self._trial, self._spec, self._threat = trial, spec, threat
        self._worst_case, self._progress = worst_case, progress
        self._standing = trial.clean_correct.copy()
        self._earlier_seconds = 0.0
        self.unstable = 0

    def run(self) -> AttackResult:
        """Runs all of it."""
        started, accuracies = time.perf_counter(), {}
        for member in members_of(self._spec, self._trial.classes):
            self._run_member(member)
            accuracies[member.name] = {
                "accuracy": float(self._standing.mean()),
                **settings.resolve(member.spec, self._threat, self._trial.seed),
            }
        resolved = settings.resolve(self._spec, self._threat, self._trial.seed)
        if "" not in accuracies:
            resolved["members"] = accuracies
        return AttackResult(
            name=self._spec.name,
            text=self._spec.text,
            accuracy=float(self._standing.mean()),
            seconds=time.perf_counter() - started + self._earlier_seconds,
            settings=resolved,
            robust=self._standing,
        )

    def _run_member(self, member) -> None:
        """All rounds of a member, each on the survivors of the rounds before."""
        started, passed = time.perf_counter(), 0
        carried = None
        for place in range(len(member.rounds.numbers)):
            rows = np.flatnonzero(self._standing)
            if not len(rows):
                return
            done = 0
            following = None
            for chosen, images, predictions, seconds in self._trial.attack(
                member, self._threat, place, rows, carried
            ):
                if member.rounds.carry:
                    following = self._images() if following is None else following
                    following[chosen] = images
                self._take(chosen, images, predictions)
                self._earlier_seconds += seconds
                done, passed = done + len(chosen), passed + len(chosen)
                self._report(member, place, done, len(rows), passed, started)
            carried = following

    def _take(self, rows, images, predictions) -> None:
        """Enters a batch's results."""
        self.unstable += int((predictions == NOT_FINITE).sum())
        broken = predictions != self._trial.labels[rows]
        self._standing[rows[broken]] = False
        first = self._worst_case.robust[rows]
        if self._worst_case.images is not None:
            self._worst_case.images[rows[first]] = images[first]
        self._worst_case.predictions[rows[first]] = predictions[first]
        self._worst_case.robust[rows[broken]] = False

    def _images(self) -> np.ndarray:
        return np.zeros((len(self._standing), *self._trial.image_shape), np.float32)

    def _report(self, member, place, done, total, passed, started) -> None:
        if self._progress is None:
            return
        rounds = len(member.rounds.numbers)
        standing = int(self._standing.sum())
        remaining = total - done + (rounds - place - 1) * standing
        left = (time.perf_counter() - started) / passed * remaining
        name = f"{self._spec.text} {member.name}".rstrip()
        self._progress(Progress(name, place + 1, rounds, done, total, standing, left))
