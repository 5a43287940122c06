"""Flags of `python -m anchor_tf.benchmark`."""

from absl import flags

from flags import shared

flags.DEFINE_string(
    "methods", "pgd_at,anchor", "Methods to time side by side; ratios are to the first."
)
flags.DEFINE_string("backbone", "resnet(depth=18,width=16)", "Network to train.")
flags.DEFINE_list("image_shape", "32,32,3", "Height, width and channels of the random images.")
flags.DEFINE_integer("classes", 10, "Number of classes.", lower_bound=2)
flags.DEFINE_integer("attack_steps", 10, "Steps of the attack in training.", lower_bound=1)
flags.DEFINE_integer("rounds", 5, "How often each method takes its turn.", lower_bound=1)
flags.DEFINE_integer("steps", 3, "Training steps a turn.", lower_bound=1)


def values() -> dict:
    """Values of all flags that the benchmark reads, by name."""
    return shared.values_of("flags.shared", "flags.benchmark")
