"""The runs of a study: which there are, in which order, and the flags of each."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from anchor_tf import specs
from anchor_tf.config import TrainConfig
from anchor_tf.errors import UserError
from anchor_tf.specs import Spec
from anchor_tf.workdir import Workdir

FOLDS = 5
# What a run's flags do not take from the study's: the study sets them itself.
OWN = ("method", "seed", "fold", "workdir")


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run of a study.

    Attributes:
        method: its spec as text.
        counted: "seed" or "fold".
        number: which one.
        folder: its workdir, STUDY/METHOD/seed_N or fold_N.
        arguments: its command line.
        config: what training makes of that command line.
    """

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
        workdir.check(self.config)
        return True


def check_methods(text: str) -> list[Spec]:
    """Checks the specs of the methods to compare.

    Raises:
        UserError: there is none, one is wrong, or two are alike.
    """
    methods = specs.check_list(text, "anchor_tf.methods", "method")
    if not methods:
        raise UserError("--methods is empty: name at least one, such as anchor")
    for place, method in enumerate(methods):
        for former in methods[:place]:
            same = (former.name, former.arguments) == (method.name, method.arguments)
            if same or folder_name(former) == folder_name(method):
                raise UserError(f"--methods: {former.text} and {method.text} are alike")
    return methods


def folder_name(method: Spec) -> str:
    """A spec as the name of a folder: `anchor(beta=0)` becomes `anchor_beta=0`."""
    return re.sub(r"[^\w.=+-]+", "_", method.text).strip("_")


def plan(
    methods: Sequence[Spec],
    folder: pathlib.Path,
    flags: Mapping[str, Any],
    recipe: Mapping[str, Any],
    epochs: Sequence[int] | None = None,
) -> list[Run]:
    """All runs of a study, seed by seed, so that every method has its first run first.

    Args:
        methods: checked specs.
        folder: the study's.
        flags: what `flags.study.values` returned, the data set's spec checked.
        recipe: the data set's own values, by flag name.
        epochs: epochs of each method, where they are not the same.
    """
    counted = "fold" if flags["cross_validate"] else "seed"
    runs = []
    for number in range(FOLDS if flags["cross_validate"] else flags["seeds"]):
        for place, method in enumerate(methods):
            where = folder / folder_name(method) / f"{counted}_{number}"
            own = {"method": method.text, "seed": number}
            if flags["cross_validate"]:
                own["fold"] = number
            if epochs is not None:
                own |= _schedule(epochs[place], flags, recipe)
            runs.append(
                Run(
                    method.text,
                    counted,
                    number,
                    where,
                    _arguments({**own, "workdir": where}, flags["given"]),
                    TrainConfig.resolve({**flags, **own}, recipe),
                )
            )
    return runs


def common_settings(settings: TrainConfig) -> dict[str, Any]:
    """What all runs of a study have in common, by flag name."""
    return {k: v for k, v in dataclasses.asdict(settings).items() if k not in OWN}


def _schedule(epochs: int, flags, recipe) -> dict[str, Any]:
    """Epochs, with a warm-up and a ramp of epsilon that keep their share of them.

    As they are given, both could be longer than the training of an expensive method.
    """
    settings = TrainConfig.resolve(flags, recipe)
    share = epochs / settings.epochs
    return {
        "epochs": epochs,
        "warmup_epochs": settings.warmup_epochs * share,
        "ramp_epochs": settings.ramp_epochs * share,
    }


def _arguments(own: Mapping[str, Any], given: Mapping[str, str]) -> tuple[str, ...]:
    passed_on = (text for name, text in given.items() if name not in own and text)
    return (*(f"--{name}={value}" for name, value in own.items()), *passed_on)
