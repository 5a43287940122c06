"""Other attacks on the finished runs of a study: the runs, which train nothing."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import ClassVar

from anchor_tf import config
from anchor_tf.errors import UserError
from anchor_tf.models import model_path
from anchor_tf.pipelines.splits import FOLDS
from anchor_tf.reports import report_file
from anchor_tf.specs import Spec
from anchor_tf.studies.entries import Entry
from anchor_tf.studies.plan import Run
from anchor_tf.workdir import Workdir

# What may be given beside --workdir and --out; the rest decides what is trained.
GIVEN = ("attacks", "examples", "norm", "epsilon", "batch_size")
GIVEN += ("strategy", "virtual_devices", "xla")


@dataclasses.dataclass(frozen=True)
class Evaluation(Run):
    """One finished run of a study, attacked again; see `Run`.

    Attributes:
        attacks: specs as text, without spaces.
        model: the trained model.
    """

    attacks: tuple[str, ...] = ()
    model: pathlib.Path = pathlib.Path()
    main: ClassVar[str] = "anchor_tf.evaluate"

    @property
    def finished(self) -> bool:
        """Whether the attacks have been made, on this very model.

        Raises:
            UserError: its report is damaged, or of other attacks.
        """
        path = self.folder / "report.json"
        if not path.exists():
            return False
        report = report_file.read(path)
        if tuple(report["attacks"]) != self.attacks:
            raise UserError(f"{path} is of other attacks: choose another --out")
        return report.get("model_digest") == model_path.digest(self.model)


def plan(
    study: pathlib.Path,
    out: pathlib.Path,
    entries: Sequence[Entry],
    seeds: int,
    attacks: Sequence[Spec],
    given: Mapping[str, str],
) -> list[Evaluation]:
    """The finished runs of a study as evaluations, entry by entry within a seed or fold.

    Args:
        study: its folder.
        out: where reports and tables go, in folders of the same names.
        entries: what the study compares.
        seeds: runs of each; 0 for folds.
        attacks: checked specs.
        given: flags that were given, each as the text that gives it again.

    Raises:
        UserError: the study has no finished run.
    """
    counted = "seed" if seeds else "fold"
    texts = tuple(attack.text for attack in attacks)
    runs = []
    for number in range(seeds or FOLDS):
        for entry in entries:
            place = pathlib.Path(entry.folder_name, f"{counted}_{number}")
            trained, folder = Workdir(study / place), out / place
            if not trained.finished:
                print(f"left out: {place} is not finished", flush=True)
                continue
            of_training, _ = config.load(trained.config)
            arguments = _arguments(trained.path, folder, of_training, given)
            about = (entry.text, counted, number, folder, arguments, of_training)
            runs.append(Evaluation(*about, attacks=texts, model=trained.model))
    if not runs:
        raise UserError(f"--workdir={study} holds no finished run to attack again")
    return runs


def _arguments(workdir, out, of_training, given: Mapping[str, str]) -> tuple[str, ...]:
    own = {"norm": f"--norm={of_training.norm}"}
    passed_on = {name: text for name, text in given.items() if name in GIVEN and text}
    return (f"--workdir={workdir}", f"--out={out}", *(own | passed_on).values())
