"""Flags of `python -m anchor_tf.evaluate`."""

from absl import flags

from anchor_tf.flags import (  # noqa: F401  they define flags of their own
    attacks,
    compiler,
    devices,
    threat,
    workdir,
)
from anchor_tf.flags.reading import values_of

flags.DEFINE_string(
    "model", None, "A .keras file or SavedModel folder to attack instead of a run's model."
)
flags.DEFINE_string(
    "dataset", None, "Data to attack; needed with --model, by default that of the run."
)
flags.DEFINE_string(
    "save_examples", None, "Write x, y, x_adv of the worst case and robust to this .npz file."
)
flags.DEFINE_string("out", None, "Folder for the report instead of the workdir.")


def values() -> dict:
    """Values of all flags that evaluation reads, by name; --norm only if it was given."""
    modules = ("workdir", "threat", "attacks", "devices", "compiler", "evaluate")
    found = values_of(*(f"anchor_tf.flags.{module}" for module in modules))
    return found if flags.FLAGS["norm"].present else found | {"norm": None}
