"""Flags of `python -m anchor_tf.export`."""

from flags import shared


def values() -> dict:
    """Values of all flags that export reads, by name."""
    return shared.values_of("flags.shared")
