"""Other attacks on the finished runs of a study: the runs, which train nothing."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from anchor_tf import config, report_file, specs
from anchor_tf.errors import UserError
from anchor_tf.studies.entries import Entry
from anchor_tf.studies.plan import FOLDS, Run
from anchor_tf.workdir import Workdir

# What may be given beside --out; the rest decides what is trained.
GIVEN = (
    "workdir",
    "attacks",
    "examples",
    "norm",
    "epsilon",
    "batch_size",
    "strategy",
    "virtual_devices",
    "xla",
)


@dataclasses.dataclass(frozen=True)
class Evaluation(Run):
    """One finished run of a study, attacked again; see `Run`.

    Attributes:
        attacks: specs as text, without spaces.
    """

    attacks: tuple[str, ...] = ()
    main: ClassVar[str] = "anchor_tf.evaluate"

    @property
    def finished(self) -> bool:
        """Whether the attacks have been made.

        Raises:
            UserError: its report is damaged, or of other attacks.
        """
        path = self.folder / "report.json"
        if not path.exists():
            return False
        report = report_file.read(path)
        if tuple(report["attacks"]) != self.attacks:
            raise UserError(f"{path} is of other attacks: choose another --out")
        return True


def read(study: pathlib.Path) -> dict[str, Any]:
    """What `studies.record.Record` has left in a study's folder.

    Raises:
        UserError: there is no study.
    """
    path = study / "study.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content["seeds"], int) or not isinstance(content["methods"], dict):
            raise TypeError("seeds and methods should be a number and a table")
    except FileNotFoundError as error:
        raise UserError(f"--workdir={study} holds no study to attack again") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read as a study: {error}") from error
    return content


def plan(
    study: pathlib.Path,
    out: pathlib.Path,
    flags: Mapping[str, Any],
    entries: Sequence[Entry],
    seeds: int,
) -> list[Evaluation]:
    """The finished runs of a study as evaluations, entry by entry within a seed or fold.

    Args:
        study: its folder.
        out: where reports and tables go, in folders of the same names.
        flags: what `flags.study.values` returned.
        entries: what the study compares.
        seeds: runs of each; 0 for folds.

    Raises:
        UserError: the study has no finished run.
    """
    counted = "seed" if seeds else "fold"
    attacks = specs.check_list(flags["attacks"], "anchor_tf.attacks", "attack")
    passed_on = [
        text for name, text in flags["given"].items() if name in GIVEN and name != "workdir"
    ]
    runs = []
    for number in range(seeds or FOLDS):
        for entry in entries:
            place = pathlib.Path(entry.folder_name, f"{counted}_{number}")
            trained = Workdir(study / place)
            if not trained.finished:
                print(f"left out: {place} is not finished", flush=True)
                continue
            runs.append(
                Evaluation(
                    entry.text,
                    counted,
                    number,
                    out / place,
                    (f"--workdir={trained.path}", f"--out={out / place}", *filter(None, passed_on)),
                    config.load(trained.config)[0],
                    tuple(attack.text for attack in attacks),
                )
            )
    if not runs:
        raise UserError(f"--workdir={study} holds no finished run to attack again")
    return runs
