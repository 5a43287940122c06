"""The commands that make a model and its report again."""

import dataclasses
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from anchor_tf.config import TrainConfig

_EVALUATION = (
    "model",
    "workdir",
    "dataset",
    "attacks",
    "norm",
    "epsilon",
    "seed",
    "examples",
    "save_examples",
    "out",
)


def training_commands(
    config: TrainConfig, workdir: pathlib.Path, earlier_epochs: Sequence[int] = ()
) -> list[str]:
    """The command lines of a run, for a shell: every flag that decides what it computes.

    Args:
        config: of the run.
        workdir: its folder.
        earlier_epochs: lengths it had before it was made longer; each needs a command of its own,
            for its learning rates followed a schedule of that length.
    """
    flags = {**dataclasses.asdict(config), "workdir": workdir}
    return [
        _command("train", {**flags, "epochs": epochs})
        for epochs in (*earlier_epochs, config.epochs)
    ]


def evaluation_command(flags: Mapping[str, Any]) -> str:
    """The command line of an evaluation, for a shell.

    Args:
        flags: values of the flags of `flags/evaluate.py`, by name; None where not given.
    """
    return _command("evaluate", {name: flags[name] for name in _EVALUATION})


def _command(main: str, flags: Mapping[str, Any]) -> str:
    given = {name: value for name, value in flags.items() if value is not None}
    if "epsilon" in given:
        given["epsilon"] = _radii(given["epsilon"])
    if "norm" in given and not isinstance(given["norm"], str):
        given["norm"] = ",".join(given["norm"])
    words = [shlex.quote(f"--{name}={value}") for name, value in given.items()]
    return " ".join(["python", "-m", f"anchor_tf.{main}", *words])


def _radii(epsilon: float | Sequence[float]) -> str:
    return ",".join(map(_radius, epsilon if isinstance(epsilon, Sequence) else [epsilon]))


def _radius(epsilon: float) -> str:
    """Whole grey levels where they are the same number again when parsed."""
    levels = round(epsilon * 255)
    return f"{levels}/255" if levels / 255 == epsilon and 0 < levels < 255 else str(epsilon)
