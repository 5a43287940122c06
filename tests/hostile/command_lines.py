"""A seeded generator of command lines, right and wrong ones."""

import dataclasses
import pathlib
import random

from anchor_tf import plugins
from tests.hostile.command_line_cases import (
    CHOICES,
    FAMILIES,
    FLOATS,
    HARMLESS,
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
        named: of which the answer must name one; empty where the line is right.
        early: whether the answer must come before TensorFlow is imported.
    """

    main: str
    arguments: tuple[str, ...]
    named: tuple[str, ...] = ()
    early: bool = True


def right(random_: random.Random, main: str) -> Line:
    """A line that a main answers with status 0, after a training step or as little."""
    chosen = _flags(random_.choice(RIGHT[main]))
    if main == "train":
        chosen += _flags(random_.choice(HARMLESS))
    return Line(main, (*_base(main), *chosen))


def wrong(random_: random.Random, main: str) -> Line:
    """A line with one mistake, or now and then two."""
    kinds = [_unknown_flag, _bad_integer, _other, _other]
    if main in SPECS_OF:
        kinds += [_bad_spec, _bad_spec, _misspelt_spec, _garbage_spec]
    if main in ("train", "study"):
        kinds += [_bad_float, _bad_choice]
    chosen = [random_.choice(kinds)]
    if random_.random() < 0.15:
        chosen.append(random_.choice((_unknown_flag, _bad_integer)))
    mistakes = [mistake(random_, main) for mistake in chosen]
    arguments = [*_base(main), *(flag for mistake, _ in mistakes for flag in mistake)]
    if any(argument.startswith("--model=") for argument in arguments):
        arguments.remove("--workdir={run}")  # the two exclude each other
    named = tuple(name for _, name in mistakes)
    return Line(main, tuple(arguments), named, not set(named) & set(LATE))


def _base(main: str) -> list[str]:
    workdir = {"benchmark": [], "train": ["--workdir={folder}/run"]}
    workdir["study"] = ["--workdir={folder}/study"]
    return [*workdir.get(main, ["--workdir={run}"]), *TINY[main].split()]


def _flags(text: str) -> list[str]:
    first, *rest = text.split(" --")
    return [first, *(f"--{flag}" for flag in rest)]


def _garbage(random_: random.Random) -> str:
    """A text that is nothing: letters, signs, control characters, much of it or little."""
    alphabet = random_.choice(("abc01 .,=/", "()[]{}'\",=", "\t\n\x1b\x7f", "\udcff\u0661\u00e9"))
    length = random_.choice((1, 3, 10, 5000))
    return "q" + "".join(random_.choice(alphabet) for _ in range(length))


def _misspelt(random_: random.Random, name: str) -> str:
    place = random_.randrange(len(name))
    return name[:place] + random_.choice("qxz") + name[place:]


def _unknown_flag(random_: random.Random, main: str) -> tuple[list[str], str]:
    name = _misspelt(random_, random_.choice(INTEGERS["train"].split() + FLOATS.split()))
    return [f"--{name}={random_.choice(('1', 'a', ''))}"], name


def _bad_integer(random_: random.Random, main: str) -> tuple[list[str], str]:
    name = random_.choice(INTEGERS[main].split())
    values = ("many", "1.5", "", "-1", "1e3", "1,2", "--", "-99999999999", _garbage(random_))
    return [f"--{name}={random_.choice(values)}"], name


def _bad_float(random_: random.Random, main: str) -> tuple[list[str], str]:
    name = random_.choice(FLOATS.split())
    values = ("fast", "nan", "inf", "-0.5", "", "0,1", _garbage(random_))
    return [f"--{name}={random_.choice(values)}"], name


def _bad_choice(random_: random.Random, main: str) -> tuple[list[str], str]:
    name = random_.choice(CHOICES.split())
    return [f"--{name}={random_.choice(('best of all', '', 'None', _garbage(random_)))}"], name


def _bad_spec(random_: random.Random, main: str) -> tuple[list[str], str]:
    flag = random_.choice(SPECS_OF[main])
    value, named = random_.choice(SPECS[flag])
    return [f"--{flag}={value}"], named


def _misspelt_spec(random_: random.Random, main: str) -> tuple[list[str], str]:
    """A plug-in whose name, argument or value is wrong."""
    flag = random_.choice(SPECS_OF[main])
    entries = plugins.entries(FAMILIES[flag])
    name = random_.choice(sorted(entries))
    parameters = entries[name].parameters
    if not parameters or random_.random() < 0.3:
        return [f"--{flag}={_misspelt(random_, name)}"], flag
    argument = random_.choice(parameters).name
    # The names of keras.applications are known to Keras alone.
    if random_.random() < 0.5 or name == "keras_applications":
        return [f"--{flag}={name}({_misspelt(random_, argument)}=1)"], argument
    value = random_.choice(("[1]", "{}", "()", "b'x'", "1j"))
    return [f"--{flag}={name}({argument}={value})"], flag  # a text takes any value


def _garbage_spec(random_: random.Random, main: str) -> tuple[list[str], str]:
    flag = random_.choice(SPECS_OF[main])
    return [f"--{flag}={_garbage(random_)}"], flag


def _other(random_: random.Random, main: str) -> tuple[list[str], str]:
    flags, named = random_.choice(OTHERS[main])
    return _flags(flags), named


def placed(line: Line, folder: pathlib.Path, **shared: pathlib.Path) -> list[str]:
    """The arguments with the names of folders put in."""
    names = {"{folder}": folder, **{f"{{{name}}}": path for name, path in shared.items()}}
    result = []
    for argument in line.arguments:
        for name, path in names.items():
            argument = argument.replace(name, str(path))
        result.append(argument)
    return result
