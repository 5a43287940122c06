"""Flags as a dictionary: the mains read their values once and hand them on."""

from absl import flags


def values_of(*modules: str) -> dict:
    """Values of the flags that the named modules define."""
    by_module = flags.FLAGS.flags_by_module_dict()
    return {flag.name: flag.value for module in modules for flag in by_module[module]}
