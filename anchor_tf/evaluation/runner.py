"""Robust accuracy: each attack on every correctly classified image, and the worst case."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from anchor_tf.errors import UserError
from anchor_tf.evaluation import sanity, settings
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
        seconds: wall time, tracing and compilation included: the first batch pays for them.
        settings: every setting it ran with.
        robust: bool [N], classified correctly before and after.
    """

    name: str
    text: str
    accuracy: float
    seconds: float
    settings: dict[str, Any]
    robust: np.ndarray


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A model's accuracy under one threat.

    Attributes:
        norm: "linf" or "l2".
        epsilon: radius.
        labels: int32 [N].
        clean_correct: bool [N].
        attacks: in the order given.
        robust: bool [N], correct on the clean image and under every attack.
        adversarial: float32 [N, H, W, C] in [0, 1], or None if not asked for: the image of the
            first attack that broke an example; the last attack's where none did; the clean image
            where that is misclassified.
        warnings: what makes the figures doubtful, a sentence each.
    """

    norm: str
    epsilon: float
    labels: np.ndarray
    clean_correct: np.ndarray
    attacks: tuple[AttackResult, ...]
    robust: np.ndarray
    adversarial: np.ndarray | None
    warnings: tuple[str, ...]

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
    progress: Callable[[str, int, int, int], None] | None = None,
    keep_examples: bool = False,
    jit_compile: bool = False,
) -> Evaluation:
    """Measures clean accuracy, each attack's accuracy and the worst case over all attacks.

    No figure depends on the batch size, on the order of the examples or on the other attacks.

    Args:
        model: a Keras model, run in inference mode, or any function; images float32 [B, H, W, C]
            in [0, 1] -> logits [B, K].
        images: uint8, or floats in [0, 1]; [N, H, W, C].
        labels: integers in [0, K); [N].
        attacks: checked specs (`specs.check`), no two alike; none for clean accuracy alone.
        threat: norm, radius (a float) and box.
        batch_size: images in a batch.
        seed: of the attacks' random numbers.
        indices: integers [N], the examples' indices in their split, which key those numbers;
            0 to N - 1 by default.
        progress: called after each batch with the attack's text, the images attacked, the images
            to attack and how many of the attacked are still classified correctly.
        keep_examples: whether to keep an adversarial image of each example, in memory.
        jit_compile: whether to compile with XLA.

    Raises:
        UserError: inputs that do not fit together, an attack listed twice, or logits on clean
            images that are not finite.
        AttackError: an attack left its threat, a bug of ours.
    """
    texts = [spec.text for spec in attacks]
    for text in texts:
        if texts.count(text) > 1:
            raise UserError(f"attack {text} is listed twice")
    trial = Trial(
        model,
        images,
        labels,
        batch_size=batch_size,
        seed=seed,
        indices=indices,
        jit_compile=jit_compile,
    )
    robust = trial.clean_correct.copy()
    adversarial = trial.pixels(slice(None)) if keep_examples else None
    results, warnings = [], sanity.output_warnings(trial.clean_logits)
    for spec in attacks:
        result, unstable = _attack(trial, spec, threat, seed, robust, adversarial, progress)
        robust &= result.robust
        results.append(result)
        warnings += sanity.instability_warnings(spec.text, unstable)
    return Evaluation(
        norm=threat.norm,
        epsilon=float(threat.epsilon),
        labels=trial.labels,
        clean_correct=trial.clean_correct,
        attacks=tuple(results),
        robust=robust,
        adversarial=adversarial,
        warnings=(*warnings, *sanity.attack_warnings(results, float(threat.epsilon))),
    )


def _attack(trial, spec, threat, seed, unbroken, adversarial, progress):
    """Runs one attack; returns its result and how many logits were not finite.

    Writes the images of the examples that no former attack broke (`unbroken`, bool [N]) into
    `adversarial`, unless that is None.
    """
    started = time.perf_counter()
    robust = np.zeros_like(trial.clean_correct)
    total, done, unstable = int(trial.clean_correct.sum()), 0, 0
    for rows, images, predictions in trial.attack(spec, threat):
        robust[rows] = predictions == trial.labels[rows]
        if adversarial is not None:
            kept = unbroken[rows]
            adversarial[rows[kept]] = images[kept]
        done += len(rows)
        unstable += int((predictions == NOT_FINITE).sum())
        if progress is not None:
            progress(spec.text, done, total, int(robust.sum()))
    result = AttackResult(
        name=spec.name,
        text=spec.text,
        accuracy=float(robust.mean()),
        seconds=time.perf_counter() - started,
        settings=settings.resolve(spec, threat, seed),
        robust=robust,
    )
    return result, unstable
