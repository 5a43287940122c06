"""Flags that say when a run is saved; none of them changes what it computes."""

from absl import flags

flags.DEFINE_float(
    "checkpoint_minutes",
    1.0,
    "Minutes between two checkpoints; more where saving would take over 1 % of the time.",
    lower_bound=0.0,
)
flags.DEFINE_integer(
    "checkpoint_steps", None, "Save after every so many steps instead.", lower_bound=1
)
flags.DEFINE_integer(
    "keep_checkpoints", 2, "Checkpoints of a phase to keep, beside the best epoch.", lower_bound=1
)
