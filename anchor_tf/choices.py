"""Options that are names: an unknown one is refused, with the known ones."""

import difflib
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from anchor_tf.errors import UserError


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known name, if any, and the whole list."""
    known = list(known)
    close = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{hint}known: {', '.join(known)}"


def check(argument: str, value: Any, known: Iterable, owner: str = "") -> None:
    """Refuses a value that is none of the known ones.

    Args:
        argument: its name.
        value: what was given.
        known: all that it may be.
        owner: what takes the argument, "method anchor" for example.

    Raises:
        UserError: the value is not among them.
    """
    known = list(known)
    # True == 1, which does not make it a number of views.
    if any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in known):
        return
    label = f"{owner}: " if owner else ""
    raise UserError(
        f"{label}{argument}={value!r} is unknown: {nearest(str(value), map(str, known))}"
    )


def check_literals(function: Callable, arguments: Mapping[str, Any], owner: str = "") -> None:
    """`check` for every argument whose annotation is a Literal.

    Args:
        function: whose signature says what an argument may be.
        arguments: name -> value, those that are given.
        owner: see `check`.

    Raises:
        UserError: a value is not in its argument's Literal.
    """
    for name, parameter in inspect.signature(function).parameters.items():
        known = typing.get_args(parameter.annotation)
        if typing.get_origin(parameter.annotation) is typing.Literal and name in arguments:
            check(name, arguments[name], known, owner)
