"""report.json, its readable forms, outcomes.npz and the file of adversarial examples."""

import json
import os
import pathlib
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import anchor_tf
from anchor_tf.evaluation.inputs import as_floats
from anchor_tf.evaluation.runner import Evaluation
from anchor_tf.files.atomic import replacing
from anchor_tf.reports import confusion, html_report, markdown, model_card, rendering

_CONFUSIONS = 10  # shown


def build(
    evaluations: Sequence[Evaluation],
    *,
    dataset: str,
    split: str,
    seed: int,
    class_names: Sequence[str] | None = None,
    curve: tuple[str, Sequence[tuple[float, float]]] | None = None,
    representation: Mapping[str, Any] | None = None,
    last: Evaluation | None = None,
    warnings: Sequence[str] = (),
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The report of one or more evaluations of one model on the same examples.

    Args:
        evaluations: at least one; the first stands at the top level and, where there are several,
            all of them under "sweep".
        dataset: its spec.
        split: "test" or "validation", for example.
        seed: of the attacks' random numbers.
        class_names: names of the classes in the order of their labels, for accuracies per class
            and the worst confusions.
        curve: an attack's text and its (epsilon, accuracy) points.
        representation: what `representation.measure` returned.
        last: the evaluation of the weights after the last epoch under the first threat, where the
            others are of the best weights.
        warnings: further ones, beside those of the evaluations.
        extra: further entries for the top level, "method" for example.

    Returns:
        What `write` stores: accuracies in [0, 1], plain Python values throughout.
    """
    first = evaluations[0]
    warnings = [*_warnings(evaluations), *warnings]
    if last is not None:
        warnings += [f"weights of the last epoch: {text}" for text in last.warnings]
    report = {
        **(extra or {}),
        "dataset": dataset,
        "split": split,
        "examples": len(first.labels),
        **_figures(first),
        "warnings": warnings,
        "seed": seed,
        "versions": versions(),
    }
    if class_names is not None:
        report["classes"] = _per_class(first, class_names)
        report["confusions"] = _confusions(first, class_names)
    if len(evaluations) > 1:
        report["sweep"] = [_figures(evaluation) for evaluation in evaluations]
    if curve is not None:
        attack, points = curve
        report["curve"] = {"attack": attack, "points": [list(point) for point in points]}
    if representation is not None:
        report["representation"] = dict(representation)
    if last is not None:
        report["last"] = _figures(last)
    return report


def outcomes(evaluation: Evaluation, indices: np.ndarray) -> dict[str, np.ndarray]:
    """What became of every example, for comparing models example by example.

    Args:
        evaluation: of the first threat.
        indices: integers [N], the examples' places in their split.

    Returns:
        `labels` int32 [N]; `indices` int64 [N]; `clean` bool [N], classified correctly without an
        attack; `attacks` text [A], the specs; `robust` bool [A, N], correct before and after each
        attack; `worst_case` bool [N], correct before and after all of them.
    """
    masks = [result.robust for result in evaluation.attacks]
    return {
        "labels": evaluation.labels.astype(np.int32),
        "indices": np.asarray(indices, np.int64),
        "clean": evaluation.clean_correct,
        "attacks": np.array([result.text for result in evaluation.attacks], dtype=np.str_),
        "robust": np.array(masks, bool).reshape(len(masks), len(evaluation.labels)),
        "worst_case": evaluation.robust,
    }


def versions() -> dict[str, str]:
    """Versions of what the figures depend on."""
    return {
        "anchor_tf": anchor_tf.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def write(
    report: Mapping[str, Any],
    folder: str | os.PathLike,
    outcomes: Mapping[str, np.ndarray] | None = None,
) -> pathlib.Path:
    """Writes report.json, .md and .html, model_card.md and outcomes.npz, each atomically.

    A former report.json is kept as reports/N.json, N counting up from 0. The page shows the plots
    that lie in the folder by then.

    Args:
        report: what `build` returned.
        folder: where to.
        outcomes: what the function of that name returned; no outcomes.npz without it.

    Returns:
        The path of report.json.
    """
    folder = pathlib.Path(folder)
    path = folder / "report.json"
    encoded = json.dumps(report, indent=2).encode()
    if path.exists():
        # Copied, not moved: a process killed here leaves the former report in its place.
        with replacing(_next_number(folder / "reports")) as file:
            file.write(path.read_bytes())
    if outcomes is not None:
        with replacing(folder / "outcomes.npz") as file:
            np.savez_compressed(file, **outcomes)
    readable = {
        "report.md": markdown.render(report),
        "report.html": html_report.render(report, folder),
        "model_card.md": model_card.render(report),
    }
    for name, content in readable.items():
        with replacing(folder / name) as file:
            file.write(content.encode())
    # The last of all files: it says that the evaluation is complete.
    with replacing(path) as file:
        file.write(encoded + b"\n")
    return path


def save_examples(path: str | os.PathLike, evaluation: Evaluation, images: np.ndarray) -> None:
    """Writes x, y, x_adv and robust of an evaluation to an .npz file, atomically.

    Args:
        path: the file.
        evaluation: one that kept all of its examples.
        images: what was evaluated: uint8, or floats in [0, 1]; [N, H, W, C]. Stored as float32
            in [0, 1].

    Raises:
        ValueError: the evaluation did not keep them.
    """
    if evaluation.adversarial is None or len(evaluation.kept) < len(evaluation.labels):
        raise ValueError("evaluate with keep_examples=True to save adversarial examples")
    with replacing(path) as file:
        np.savez(
            file,
            x=as_floats(images),
            y=evaluation.labels,
            x_adv=evaluation.adversarial,
            robust=evaluation.robust,
        )


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "norm": evaluation.norm,
        "epsilon": evaluation.epsilon,
        "clean": {"accuracy": evaluation.clean_accuracy},
        "attacks": {
            result.text: {
                "accuracy": result.accuracy,
                "seconds": round(result.seconds, 3),
                "settings": dict(result.settings),
            }
            for result in evaluation.attacks
        },
        "worst_case": {"accuracy": evaluation.worst_case_accuracy},
    }


def _warnings(evaluations: Sequence[Evaluation]) -> list[str]:
    """Each warning once; one that not all the threats give says which."""
    warnings = {}
    for evaluation in evaluations:
        threat = rendering.format_threat(evaluation.norm, evaluation.epsilon)
        for text in evaluation.warnings:
            everywhere = all(text in other.warnings for other in evaluations)
            warnings[text if everywhere else f"{threat}: {text}"] = None
    return list(warnings)


def _per_class(evaluation: Evaluation, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Accuracies of the classes that have examples."""
    classes = {}
    for label, name in enumerate(names):
        members = evaluation.labels == label
        if members.any():
            classes[str(name)] = {
                "examples": int(members.sum()),
                "clean": float(evaluation.clean_correct[members].mean()),
                "worst_case": float(evaluation.robust[members].mean()),
            }
    return classes


def _confusions(evaluation: Evaluation, names: Sequence[str]) -> list[dict[str, Any]]:
    """The pairs of a class and what it is most often taken for in the worst case, at most ten."""
    counts, examples = confusion.counts(evaluation.labels, evaluation.predictions, len(names))
    np.fill_diagonal(counts, 0)
    worst = np.argsort(-counts, axis=None, kind="stable")[:_CONFUSIONS]
    return [
        {
            "class": str(names[label]),
            "answer": str(names[answer]),
            "examples": int(counts[label, answer]),
            "share": float(counts[label, answer] / examples[label]),
        }
        for label, answer in zip(*np.unravel_index(worst, counts.shape), strict=True)
        if counts[label, answer]
    ]


def _next_number(folder: pathlib.Path) -> pathlib.Path:
    taken = [int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal()]
    return folder / f"{max(taken, default=-1) + 1}.json"
