"""The flag that says whether XLA compiles; it changes nothing that comes out beyond rounding."""

from absl import flags

flags.DEFINE_enum(
    "xla", "auto", ["auto", "on", "off"], "Compile with XLA; auto, on GPUs and not on CPUs."
)
