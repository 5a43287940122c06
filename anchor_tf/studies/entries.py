"""What a study compares: methods, each with flags of its own, `pgd_at --ema_decay=0.99`."""

import dataclasses
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from anchor_tf import specs
from anchor_tf.errors import UserError
from anchor_tf.specs import Spec

# What the rows of one table share, or the study sets itself.
SHARED = ("method", "seed", "fold", "workdir", "dataset", "norm", "epsilon", "attacks", "examples")


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
        return " ".join([self.method.text, *(f"--{k}={v}" for k, v in self.flags.items())])

    @property
    def folder_name(self) -> str:
        """`anchor(beta=0) --awp=0.01` as the name of a folder: `anchor_beta=0_awp=0.01`."""
        return re.sub(r"[^\w.=+-]+|_+", "_", self.text.replace(" --", " ")).strip("_")

    @property
    def varied(self) -> tuple[str, dict[str, Any]]:
        """The method's name; arguments and flags by name."""
        return self.method.name, {**self.method.arguments, **self.values}


def check(text: str, parse_flag: Callable[[str, str], Any]) -> list[Entry]:
    """Checks the entries of --methods.

    Args:
        text: separated by commas.
        parse_flag: name and text of a training flag -> its value; ValueError if it has none such.

    Raises:
        UserError: there is none, a method or flag is wrong, or two entries are alike.
    """
    entries = [_entry(item, parse_flag) for item in specs.split(text) if item.strip()]
    if not entries:
        raise UserError("--methods is empty: name at least one, such as anchor")
    for place, entry in enumerate(entries):
        for former in entries[:place]:
            if former.varied == entry.varied or former.folder_name == entry.folder_name:
                raise UserError(f"--methods: {former.text} and {entry.text} are alike")
    return entries


def _entry(text: str, parse_flag: Callable[[str, str], Any]) -> Entry:
    method, *rest = re.split(r"\s+(?=--)", text.strip())
    spec = specs.check(specs.parse(method), "anchor_tf.methods", "method")
    flags, values = {}, {}
    for word in shlex.split(" ".join(rest)):
        name, equals, value = word.removeprefix("--").partition("=")
        if not equals or not word.startswith("--"):
            raise UserError(f"--methods: {word} after {spec.text} should be --FLAG=VALUE")
        if name in SHARED:
            raise UserError(f"--methods: --{name} is the same for all rows of a table")
        try:
            values[name] = parse_flag(name, value)
        except ValueError as error:
            raise UserError(f"--methods: --{name}={value} of {spec.text}: {error}") from error
        flags[name] = value
    return Entry(spec, flags, values)
