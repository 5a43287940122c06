"""Flags as a dictionary: the mains read their values once and hand them on."""

import os

from absl import flags

PATHS = ("workdir", "out", "model", "save_examples", "init_from", "json")


def values_of(*modules: str) -> dict:
    """Values of the flags that the named modules define, `~` in paths expanded."""
    by_module = flags.FLAGS.flags_by_module_dict()
    found = (flag for module in modules for flag in by_module[module])
    return {flag.name: expanded(flag.name, flag.value) for flag in found}


def expanded(name: str, value):
    """The value of a flag, but in a path the home directory for the `~` that shells leave in."""
    return os.path.expanduser(value) if name in PATHS and value else value
