"""report.json read back: whole, or refused."""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from anchor_tf.errors import UserError
from anchor_tf.reports.rendering import NORMS

_COUNTS = ("parameters", "training_seconds", "image_passes")  # of training, where it is known
_OF_TRAINING = ("parameters", "epochs", "training_seconds", "image_passes", "training_images")


def read(path: pathlib.Path) -> dict[str, Any]:
    """What `reports.report.write` has left, checked as far as it is read again.

    Raises:
        UserError: the file cannot be read, or its figures are not what they should be.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        _check(report)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise UserError(
            f"{path} is damaged ({what}): delete it, and the same command evaluates again"
        ) from error
    return report


def of_training(path: pathlib.Path) -> dict[str, Any]:
    """What a run's report says of its training, for the next one; empty if it has none to read."""
    if not path.exists():
        return {}
    try:
        report = read(path)
    except UserError as error:
        print(f"warning: what the training took is not known: {error}", flush=True)
        return {}
    return {name: report[name] for name in _OF_TRAINING if name in report}


def _check(report: Mapping[str, Any]) -> None:
    examples = report["examples"]
    if not isinstance(examples, int) or examples < 1:
        raise ValueError(f"examples {examples!r}")
    for name in ("dataset", "split"):
        if not isinstance(report[name], str):
            raise ValueError(f"{name} {report[name]!r}")
    last = [report["last"]] if "last" in report else []
    for figures in (report, *report.get("sweep", ()), *last):
        _check_figures(figures)
    for name in _COUNTS:
        if report.get(name) is not None:
            _number(name, report[name], math.inf)
    for point in report["curve"]["points"] if "curve" in report else ():
        for value in point:
            _number("curve", value, math.inf)
    if not all(isinstance(text, str) for text in report["warnings"]):
        raise ValueError("warnings")


def _check_figures(figures: Mapping[str, Any]) -> None:
    """The figures of one threat."""
    if figures["norm"] not in tuple(NORMS):
        raise ValueError(f"norm {figures['norm']!r}")
    _number("epsilon", figures["epsilon"], math.inf)
    for entry in (figures["clean"], figures["worst_case"], *figures["attacks"].values()):
        _number("accuracy", entry["accuracy"], 1.0)
        _number("seconds", entry.get("seconds", 0.0), math.inf)


def _number(name: str, value: Any, highest: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= highest or math.isinf(value):
        raise ValueError(f"{name} {value!r}")
