"""Flags of `python -m anchor_tf.export`."""

from absl import flags

from anchor_tf.flags import workdir  # noqa: F401  it defines a flag of its own
from anchor_tf.flags.reading import values_of

flags.DEFINE_enum(
    "format",
    "saved_model",
    ["saved_model", "tflite"],
    "What to write: the next version under export/ for TF Serving, or model.tflite for the "
    "interpreter on phones and small devices.",
)


def values() -> dict:
    """Values of all flags that export reads, by name."""
    return values_of("anchor_tf.flags.workdir", "anchor_tf.flags.export")
