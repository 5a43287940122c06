"""Flags that say what TensorBoard shows of a run; none of them changes what it computes."""

from absl import flags

flags.DEFINE_integer(
    "projector_every",
    None,
    "Epochs between two looks at the embeddings in TensorBoard's projector, which otherwise shows "
    "those of the finished model alone.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "profile", 0, "Training steps of each phase to profile for TensorBoard.", lower_bound=0
)
