"""Robust accuracy: each attack on every correctly classified image, and the worst case."""

import dataclasses
import warnings
from collections.abc import Callable, Sequence

import keras
import numpy as np

from anchor_tf.devices.distribution import Place
from anchor_tf.evaluation import sanity
from anchor_tf.evaluation.attack_run import AttackResult, AttackRun, WorstCase
from anchor_tf.evaluation.journal import Journal
from anchor_tf.evaluation.members import refuse_duplicates
from anchor_tf.evaluation.progress import Progress
from anchor_tf.evaluation.trial import Trial
from anchor_tf.models.classifier import OutputWarning
from anchor_tf.specs import Spec
from anchor_tf.threat import Threat


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A model's accuracy under one threat.

    Attributes:
        norm: "linf" or "l2".
        epsilon: radius.
        labels: int32 [N].
        clean_correct: bool [N].
        clean_predictions: int [N], the model's on the clean images.
        attacks: in the order given.
        robust: bool [N], correct on the clean image and under every attack.
        predictions: int [N], the model's on the worst case of each example: on the clean image
            where that is misclassified, else on the image of the first attack that broke it, else
            the label.
        kept: int [n], the rows of the examples whose adversarial images were asked for.
        adversarial: float32 [n, H, W, C] in [0, 1], or None if none were asked for: the image of
            the first attack that broke an example; the last attack's where none did; the clean
            image where that is misclassified.
        warnings: what makes the figures doubtful, a sentence each.
    """

    norm: str
    epsilon: float
    labels: np.ndarray
    clean_correct: np.ndarray
    clean_predictions: np.ndarray
    attacks: tuple[AttackResult, ...]
    robust: np.ndarray
    predictions: np.ndarray
    kept: np.ndarray
    adversarial: np.ndarray | None
    warnings: tuple[str, ...]

    def adversarial_of(self, rows: np.ndarray) -> np.ndarray:
        """The adversarial images of these rows of the data, all of which were kept."""
        order = np.argsort(self.kept)
        return self.adversarial[order[np.searchsorted(self.kept, rows, sorter=order)]]

    @property
    def clean_accuracy(self) -> float:
        """Share of examples classified correctly without an attack."""
        return float(self.clean_correct.mean())

    @property
    def worst_case_accuracy(self) -> float:
        """Share of examples classified correctly under every attack."""
        return float(self.robust.mean())


def evaluate(
    model: keras.Model | Callable,
    images: np.ndarray,
    labels: np.ndarray,
    attacks: Sequence[Spec],
    threat: Threat,
    *,
    batch_size: int = 128,
    seed: int = 0,
    indices: np.ndarray | None = None,
    progress: Callable[[Progress], None] | None = None,
    keep_examples: bool | np.ndarray = False,
    place: Place | None = None,
    journal: Journal | None = None,
) -> Evaluation:
    """Measures clean accuracy, each attack's accuracy and the worst case over all attacks.

    No figure depends on the batch size, on the order of the examples or on the other attacks.
    Outputs that are no logits raise an `OutputWarning`, which also stands among the result's.

    Args:
        model: a Keras model, run in inference mode, or any function; images float32 [B, H, W, C]
            in the threat's box -> logits [B, K], or one output, [B, 1] or [B] (see
            `models.classifier`).
        images: uint8, which is scaled to the box, or floats in it; [N, H, W, C].
        labels: whole numbers in [0, K); [N] or [N, 1].
        attacks: checked specs (`specs.check`), no two alike; none for clean accuracy alone.
        threat: norm, radius (a float) and box.
        batch_size: images in a batch.
        seed: of the attacks' random numbers.
        indices: integers [N], the examples' indices in their split, which key those numbers;
            0 to N - 1 by default.
        progress: called after each batch.
        keep_examples: whether to keep an adversarial image of each example, in memory; or the
            rows of those to keep, int [n].
        place: see `Trial`.
        journal: keeps finished batches, so that a killed evaluation continues where it was.

    Raises:
        UserError: inputs that do not fit together, an attack listed twice, or logits on clean
            images that are not finite.
        AttackError: an attack left its threat, a bug of ours.
    """
    trial = Trial(
        model,
        images,
        labels,
        batch_size=batch_size,
        seed=seed,
        indices=indices,
        place=place,
        journal=journal,
        box=(threat.low, threat.high),
    )
    for warning in trial.facts.warnings():
        warnings.warn(warning, OutputWarning, stacklevel=2)
    return evaluate_trial(trial, attacks, threat, progress=progress, keep_examples=keep_examples)


def evaluate_trial(
    trial: Trial,
    attacks: Sequence[Spec],
    threat: Threat,
    *,
    progress: Callable[[Progress], None] | None = None,
    keep_examples: bool | np.ndarray = False,
) -> Evaluation:
    """`evaluate` for a trial that exists already: one serves several threats."""
    refuse_duplicates(attacks)
    worst_case = WorstCase.before(trial, keep_examples)
    results, doubts = [], sanity.output_warnings(trial.facts)
    doubts += sanity.chance_warnings(trial) + sanity.model_warnings(trial)
    doubts += sanity.suite_warnings(attacks, trial.classes)
    for spec in attacks:
        attack = AttackRun(trial, spec, threat, worst_case, progress, spec is attacks[-1])
        results.append(attack.run())
        doubts += sanity.instability_warnings(spec.text, attack.unstable)
    return Evaluation(
        norm=threat.norm,
        epsilon=float(threat.epsilon),
        labels=trial.labels,
        clean_correct=trial.clean_correct,
        clean_predictions=trial.clean_logits.argmax(axis=1),
        attacks=tuple(results),
        robust=worst_case.robust,
        predictions=worst_case.predictions,
        kept=worst_case.rows,
        adversarial=None if keep_examples is False else worst_case.images,
        warnings=(*doubts, *sanity.attack_warnings(results, float(threat.epsilon))),
    )
