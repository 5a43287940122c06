"""What the finished runs of a study have left: reports, outcomes and histories."""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from anchor_tf.errors import UserError
from anchor_tf.files import archives, history_file
from anchor_tf.reports import report_file
from anchor_tf.studies.plan import Run
from anchor_tf.workdir import Workdir

LAST = "worst case, last epoch"


@dataclasses.dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        number: its seed or fold.
        folder: its workdir.
        report: its report.json.
        epochs: its epochs of training.
    """

    number: int
    folder: pathlib.Path
    report: Mapping[str, Any]
    epochs: int

    @property
    def accuracies(self) -> dict[str, float]:
        """Clean, under each attack and in the worst case; `LAST` where the best epoch was kept."""
        attacks = {name: entry["accuracy"] for name, entry in self.report["attacks"].items()}
        last = self.report.get("last")
        return {
            "clean": self.report["clean"]["accuracy"],
            **attacks,
            "worst case": self.report["worst_case"]["accuracy"],
            **({LAST: last["worst_case"]["accuracy"]} if last else {}),
        }

    def outcomes(self) -> dict[str, np.ndarray] | None:
        """The arrays of outcomes.npz, if the run has written it.

        Raises:
            UserError: it is damaged.
        """
        path = self.folder / "outcomes.npz"
        if not path.exists():
            return None
        archives.check(path, "the outcomes of an evaluation")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except Exception as error:  # what a damaged file raises is not limited to any kinds
            raise UserError(f"{path} is damaged: {archives.reason(error)}") from error

    def history(self) -> list[dict[str, str]]:
        """The rows of history.csv: one an epoch, phase after phase."""
        return history_file.read(Workdir(self.folder).history)


def gather(methods: Iterable[str], runs: Iterable[Run]) -> dict[str, list[Result]]:
    """Method -> its finished runs, in the order of the methods; an empty list if there is none.

    Raises:
        UserError: a report is damaged.
    """
    results: dict[str, list[Result]] = {method: [] for method in methods}
    for run in runs:
        if run.finished:
            report = report_file.read(Workdir(run.folder).report)
            results[run.method].append(Result(run.number, run.folder, report, run.config.epochs))
    return results
