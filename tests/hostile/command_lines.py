"""A seeded generator of command lines, right and wrong ones."""

import dataclasses
import pathlib
import random

from tests.hostile.command_line_cases import (
    CHOICES,
    FLOATS,
    INTEGERS,
    LATE,
    OTHERS,
    RIGHT,
    SPECS,
    SPECS_OF,
    TINY,
)

MAINS = tuple(TINY)


@dataclasses.dataclass(frozen=True)
class Line:
    """A command line.

    Attributes:
        main: "train" for example.
        arguments: with {folder}, a folder of its own, and {hostile} and {run}, those of all.
        named: what the answer must name; None where the line is right.
        early: whether the answer must come before TensorFlow is imported.
    """

    main: str
    arguments: tuple[str, ...]
    named: str | None
    early: bool = True


def right(random_: random.Random, main: str) -> Line:
    """A line that a main answers with status 0, after a training step or as little."""
    chosen = random_.choice(RIGHT[main]).split(" --")
    chosen = [chosen[0], *(f"--{flag}" for flag in chosen[1:])]
    return Line(main, (*_base(main), *chosen), None)


def wrong(random_: random.Random, main: str) -> Line:
    """A line with one mistake."""
    kinds = [_unknown_flag, _bad_integer, _other, _other]
    if main in SPECS_OF:
        kinds += [_bad_spec, _bad_spec]
    if main in ("train", "study"):
        kinds += [_bad_float, _bad_choice]
    mistake, named = random_.choice(kinds)(random_, main)
    arguments = [*_base(main), *mistake]
    if main == "train" and random_.random() < 0.5:
        arguments.insert(random_.randrange(len(_base(main))), "--verbosity=-1")
    return Line(main, tuple(arguments), named, named not in LATE)


def _base(main: str) -> list[str]:
    workdir = {"benchmark": [], "train": ["--workdir={folder}/run"]}
    workdir["study"] = ["--workdir={folder}/study"]
    return [*workdir.get(main, ["--workdir={run}"]), *TINY[main]]


def _unknown_flag(random_: random.Random, main: str) -> tuple[list[str], str]:
    name = random_.choice(("epochs", "workdir", "attacks", "epsilon", "batch_size", "json"))
    place = random_.randrange(len(name))
    misspelt = name[:place] + random_.choice("qxz") + name[place:]
    return [f"--{misspelt}={random_.choice(('1', 'a', ''))}"], misspelt


def _bad_integer(random_: random.Random, main: str) -> tuple[list[str], str]:
    name = random_.choice(INTEGERS[main].split())
    value = random_.choice(("many", "1.5", "", "-1", "1e3", "1,2", "--", "\u0661x", "-99999999999"))
    return [f"--{name}={value}"], name


def _bad_float(random_: random.Random, main: str) -> tuple[list[str], str]:
    name = random_.choice(FLOATS.split())
    return [f"--{name}={random_.choice(('fast', 'nan', 'inf', '-0.5', '', '0,1'))}"], name


def _bad_choice(random_: random.Random, main: str) -> tuple[list[str], str]:
    name = random_.choice(CHOICES.split())
    return [f"--{name}={random_.choice(('best of all', '', 'None', '0'))}"], name


def _bad_spec(random_: random.Random, main: str) -> tuple[list[str], str]:
    flag = random_.choice(SPECS_OF[main])
    value, named = random_.choice(SPECS[flag])
    return [f"--{flag}={value}"], named


def _other(random_: random.Random, main: str) -> tuple[list[str], str]:
    flags, named = random_.choice(OTHERS[main])
    first, *rest = flags.split(" --")
    return [first, *(f"--{flag}" for flag in rest)], named


def placed(line: Line, folder: pathlib.Path, **shared: pathlib.Path) -> list[str]:
    """The arguments with the names of folders put in."""
    names = {"{folder}": folder, **{f"{{{name}}}": path for name, path in shared.items()}}
    result = []
    for argument in line.arguments:
        for name, path in names.items():
            argument = argument.replace(name, str(path))
        result.append(argument)
    return result
