"""Flags as a dictionary: the mains read their values once and hand them on."""

import os

from absl import flags

PATHS = ("workdir", "out", "model", "save_examples", "init_from", "json")


def values_of(*modules: str) -> dict:
    """Values of the flags that the named modules define.

    In paths `~` is the home directory, which the shell leaves to the program in `--workdir=~/run`.
    """
    by_module = flags.FLAGS.flags_by_module_dict()
    values = {flag.name: flag.value for module in modules for flag in by_module[module]}
    given = {name: os.path.expanduser(values[name]) for name in PATHS if values.get(name)}
    return {**values, **given}
