"""What a study compares: methods, each with flags of its own, `pgd_at --ema_decay=0.99`."""

import dataclasses
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from anchor_tf import specs
from anchor_tf.errors import UserError
from anchor_tf.specs import Spec

OWN = ("method", "seed", "workdir")  # what the study sets itself for each run
SHARED = ("fold", "dataset", "norm", "epsilon", "attacks", "examples")  # by the rows of a table

_LONGEST = 200  # bytes of a folder's name, of which file systems take 255


@dataclasses.dataclass(frozen=True)
class Entry:
    """A row of the table.

    Attributes:
        method: its checked spec.
        flags: its own training flags by name, as text.
        values: the same as the flags' own kinds.
    """

    method: Spec
    flags: Mapping[str, str]
    values: Mapping[str, Any]

    @property
    def text(self) -> str:
        """As it stands in --methods, without needless spaces."""
        own = [f"--{name}={shlex.quote(value)}" for name, value in self.flags.items()]
        return " ".join([self.method.text, *own])

    @property
    def folder_name(self) -> str:
        """`anchor(beta=0) --awp=0.01` as the name of a folder: `anchor_beta=0_awp=0.01`."""
        own = [f"{name}={value}" for name, value in self.flags.items()]
        return re.sub(r"[^\w.=+-]+|_+", "_", " ".join([self.method.text, *own])).strip("_")

    @property
    def resolved(self) -> tuple[tuple[str, dict[str, Any]], dict[str, Any]]:
        """The method's name with all its arguments, defaults too; and the flags."""
        return specs.resolved(self.method, "anchor_tf.methods"), dict(self.values)

    @property
    def varied(self) -> tuple[str, dict[str, Any]]:
        """The method's name; arguments and flags by name."""
        return self.method.name, {**self.method.arguments, **self.values}


def check(texts: Sequence[str], parse_flag: Callable[[str, str], Any]) -> list[Entry]:
    """Checks the entries of --methods.

    Args:
        texts: one an entry.
        parse_flag: name and text of a training flag -> its value; ValueError if it has none such.

    Raises:
        UserError: there is none, a method or flag is wrong, or two entries are alike.
    """
    entries = [_entry(text, parse_flag) for text in texts]
    if not entries:
        raise UserError("--methods is empty: name at least one, such as anchor")
    for place, entry in enumerate(entries):
        for former in entries[:place]:
            if former.resolved == entry.resolved or former.folder_name == entry.folder_name:
                raise UserError(f"--methods: {former.text} and {entry.text} are alike")
    return entries


def _entry(text: str, parse_flag: Callable[[str, str], Any]) -> Entry:
    method, *rest = re.split(r"\s+(?=--)", text.strip(), maxsplit=1)
    spec = specs.check(specs.parse(method), "anchor_tf.methods", "method")
    flags, values = {}, {}
    for word in _words(" ".join(rest), spec):
        name, equals, value = word.removeprefix("--").partition("=")
        if not equals or not word.startswith("--"):
            raise UserError(f"--methods: {word} after {spec.text} should be --FLAG=VALUE")
        if name in OWN:
            raise UserError(f"--methods: --{name} is set by the study for each run")
        if name in SHARED:
            raise UserError(f"--methods: --{name} is the same for all rows of a table")
        try:
            values[name] = parse_flag(name, value)
        except ValueError as error:
            raise UserError(f"--methods: --{name}={value} of {spec.text}: {error}") from error
        flags[name] = value
    entry = Entry(spec, flags, values)
    if len(entry.folder_name.encode()) > _LONGEST:
        raise UserError(
            f"--methods: {entry.text[:60]}... names a folder of over {_LONGEST} bytes: leave "
            "out what all rows share, or give it as a flag of the study"
        )
    return entry


def _words(text: str, spec: Spec) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UserError(f"--methods: the flags after {spec.text}: {error}") from error
