"""The runs of a study: which there are, in which order, and the flags of each."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from anchor_tf import config
from anchor_tf.config import TrainConfig
from anchor_tf.errors import UserError
from anchor_tf.pipelines.data import ImageData
from anchor_tf.pipelines.splits import FOLDS
from anchor_tf.reports.rendering import format_epsilon
from anchor_tf.studies.entries import OWN, Entry
from anchor_tf.workdir import Workdir


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run of a study.

    Attributes:
        method: the text of its entry: the method's spec, and flags of its own.
        counted: "seed" or "fold".
        number: which one.
        folder: where its report goes, STUDY/METHOD/seed_N or fold_N; its workdir.
        arguments: its command line.
        config: what training makes of that command line.
        main: the module that it runs.
    """

    main: ClassVar[str] = "anchor_tf.train"

    method: str
    counted: str
    number: int
    folder: pathlib.Path
    arguments: tuple[str, ...]
    config: TrainConfig

    @property
    def name(self) -> str:
        """METHOD/seed_N or METHOD/fold_N."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def finished(self) -> bool:
        """Whether it has been trained, evaluated and exported.

        Raises:
            UserError: its folder holds another run.
        """
        workdir = Workdir(self.folder)
        if not workdir.finished:
            return False
        present, _ = config.load(workdir.config)
        # What else may change of a run that goes on may have changed.
        kept = {name: getattr(present, name) for name in config.MAY_CHANGE if name != "epochs"}
        workdir.check(dataclasses.replace(self.config, **kept))
        return True


def plan(
    entries: Sequence[Entry],
    folder: pathlib.Path,
    flags: Mapping[str, Any],
    complete: Callable[[Mapping[str, Any]], TrainConfig],
    epochs: Sequence[int] | None = None,
) -> list[Run]:
    """All runs of a study, seed by seed, so that every method has its first run first.

    Args:
        entries: what to compare.
        folder: the study's.
        flags: what `anchor_tf.flags.study.values` returned.
        complete: flags of a run -> its configuration.
        epochs: epochs of each entry, where they are not the same.

    Raises:
        UserError: two entries make the same run.
    """
    counted = "fold" if flags["cross_validate"] else "seed"
    runs = []
    for number in range(FOLDS if flags["cross_validate"] else flags["seeds"]):
        for place, entry in enumerate(entries):
            where = folder / entry.folder_name / f"{counted}_{number}"
            own = {"method": entry.method.text, "seed": number}
            if flags["cross_validate"]:
                own["fold"] = number
            theirs = {**flags, **entry.values, **own, "workdir": where}
            if epochs is not None:
                schedule = _schedule(epochs[place], complete(theirs))
                own, theirs = own | schedule, theirs | schedule
            arguments = _arguments({**entry.flags, **own, "workdir": where}, flags["given"])
            config = complete(theirs)
            runs.append(Run(entry.text, counted, number, where, arguments, config))
    _refuse_alike(entries, runs)
    return runs


def _refuse_alike(entries: Sequence[Entry], runs: Sequence[Run]) -> None:
    """However they are written: `pgd_at` and `pgd_at --awp=0` would be one row twice."""
    made: list[tuple] = []
    for entry, run in zip(entries, runs, strict=False):  # the first run of each
        method, flags = entry.resolved
        others = {name: value for name, value in flags.items() if name not in vars(run.config)}
        one = (method, dataclasses.replace(run.config, method=""), others)
        if one in made:
            former = entries[made.index(one)].text
            raise UserError(f"--methods: {former} and {entry.text} are alike")
        made.append(one)


def check_data(runs: Sequence[Run], data_of: Callable[[TrainConfig], ImageData]) -> None:
    """Each run should find enough images, and those that it has begun with if it has begun.

    Args:
        runs: of a study.
        data_of: configuration -> what such a run trains on.

    Raises:
        UserError: there are too few, or others than it has begun with.
    """
    digests = {}
    for run in runs:
        config = run.config
        part = config.fold, config.train_examples, config.examples, config.batch_size, config.seed
        if part not in digests:
            digests[part] = data_of(config).digest()
        Workdir(run.folder).check_data(digests[part])


def title(runs: Sequence[Run], norm: str, epsilon: float) -> str:
    """The heading of a study: data, threat, and the backbone unless its runs differ in it."""
    parts = [runs[0].config.dataset, f"{norm} epsilon {format_epsilon(norm, epsilon)}"]
    backbones = {run.config.backbone for run in runs}
    if len(backbones) == 1:  # else the entries name them
        parts.append(f"backbone {backbones.pop()}")
    return ", ".join(parts)


def common_settings(settings: TrainConfig) -> dict[str, Any]:
    """What all runs of a study have in common, by flag name."""
    return {k: v for k, v in dataclasses.asdict(settings).items() if k not in OWN}


def _schedule(epochs: int, settings: TrainConfig) -> dict[str, Any]:
    """Epochs, with a warm-up and a ramp of epsilon that keep their share of them.

    As they are given, both could be longer than the training of an expensive method.
    """
    share = epochs / settings.epochs
    return {
        "epochs": epochs,
        "warmup_epochs": settings.warmup_epochs * share,
        "ramp_epochs": settings.ramp_epochs * share,
    }


def _arguments(own: Mapping[str, Any], given: Mapping[str, str]) -> tuple[str, ...]:
    passed_on = (text for name, text in given.items() if name not in own and text)
    return (*(f"--{name}={value}" for name, value in own.items()), *passed_on)
