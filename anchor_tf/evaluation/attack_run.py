"""One attack over a whole data set: its members and rounds, each on the survivors alone."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from anchor_tf.evaluation import settings
from anchor_tf.evaluation.members import members_of
from anchor_tf.evaluation.progress import Progress
from anchor_tf.evaluation.trial import NOT_FINITE, Needs, Trial
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
        rows: int [n], of which examples images are kept.
        images: float32 [n, H, W, C] likewise: those that broke them, else the last attack's.
    """

    robust: np.ndarray
    predictions: np.ndarray
    rows: np.ndarray
    images: np.ndarray

    @classmethod
    def before(cls, trial: Trial, keep_images: bool | np.ndarray = False) -> Self:
        """What is left before the first attack.

        Args:
            trial: model and images.
            keep_images: the rows of the data whose images are kept; all of them or none.
        """
        rows = keep_images
        if isinstance(keep_images, bool):
            rows = np.arange(len(trial.labels) if keep_images else 0)
        predictions = trial.clean_logits.argmax(axis=1)
        return cls(trial.clean_correct.copy(), predictions, rows, trial.pixels(rows))

    def __post_init__(self):
        self._place = np.full(len(self.robust), -1)
        self._place[self.rows] = np.arange(len(self.rows))

    def shown(self, rows: np.ndarray, broken: np.ndarray, last: bool) -> np.ndarray:
        """Whose images a batch decides: kept, robust so far, and now broken or in the last round.

        Args:
            rows: of the data, [b].
            broken: bool [b].
            last: whether this is the last round of all.

        Returns:
            bool [b].
        """
        return (self._place[rows] >= 0) & self.robust[rows] & (broken | last)

    def take(self, rows, images, predictions, broken, last: bool) -> None:
        """Enters a batch's results."""
        shown, first = self.shown(rows, broken, last), self.robust[rows]
        self.images[self._place[rows[shown]]] = images[shown]
        self.predictions[rows[first]] = predictions[first]
        self.robust[rows[broken]] = False


class AttackRun:
    """One listed attack on every correctly classified image, member by member, round by round.

    Args:
        trial: model and images.
        spec: a checked spec.
        threat: norm, radius and box.
        worst_case: what the attacks before it left; brought up to date batch by batch.
        progress: called with a `Progress` after each batch, or None.
        last: whether it is the last attack, whose images stand for examples that none breaks.

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
        last: bool = True,
    ):
        self._trial, self._spec, self._threat = trial, spec, threat
        self._worst_case, self._progress = worst_case, progress
        self._last = last
        self._standing = trial.clean_correct.copy()
        self._earlier_seconds = 0.0
        self.unstable = 0

    def run(self) -> AttackResult:
        """Runs all of it."""
        started, accuracies = time.perf_counter(), {}
        members = members_of(self._spec, self._trial.classes)
        for member in members:
            self._run_member(member, self._last and member is members[-1])
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

    def _run_member(self, member, last: bool) -> None:
        """All rounds of a member, each on the survivors of the rounds before."""
        started, passed = time.perf_counter(), 0
        carry, rounds = member.rounds.carry, len(member.rounds.numbers)
        finals = [last and place == rounds - 1 for place in range(rounds)]
        needs = [Needs(functools.partial(self._kept, final)) for final in finals]
        recorded, carried, before = 0, None, None
        if carry:
            rows = np.flatnonzero(self._standing)
            recorded = self._trial.recorded_rounds(member, self._threat, rows, needs)
        for place in range(rounds):
            rows = np.flatnonzero(self._standing)
            if not len(rows):
                return
            done = 0
            # Rounds that the next one is recorded of, too, have no one to start any more.
            starts = carry and recorded - 1 <= place < rounds - 1
            need = dataclasses.replace(needs[place], starts=starts)
            attacked = self._trial.attack(member, self._threat, place, rows, carried, need)
            for chosen, images, predictions, seconds in attacked:
                if starts:
                    # In place: a batch reads its own rows alone, and before it is yielded.
                    carried = self._images() if carried is None else carried
                    carried[chosen] = images
                self._take(chosen, images, predictions, finals[place])
                self._earlier_seconds += seconds
                done, passed = done + len(chosen), passed + len(chosen)
                self._report(member, place, done, len(rows), passed, started)
            if carry and before is not None:
                self._trial.forget_starts(member, self._threat, place - 1, before)
            before = rows

    def _kept(self, final: bool, rows, predictions) -> np.ndarray:
        """Whose images of a batch the journal keeps: those that the worst case shows."""
        broken = predictions != self._trial.labels[rows]
        return self._worst_case.shown(rows, broken, final)

    def _take(self, rows, images, predictions, final: bool) -> None:
        """Enters a batch's results."""
        self.unstable += int((predictions == NOT_FINITE).sum())
        broken = predictions != self._trial.labels[rows]
        self._standing[rows[broken]] = False
        self._worst_case.take(rows, images, predictions, broken, final)

    def _images(self) -> np.ndarray:
        # Zeros that are never written take no memory.
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
