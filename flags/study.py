"""Flags of `python -m anchor_tf.study`, which takes those of training as well."""

from absl import flags

from flags import train
from flags.shared import values_of

flags.DEFINE_string(
    "methods",
    "ce,pgd_at,trades,anchor",
    "Training methods to compare; differences are to the first.",
)
flags.DEFINE_integer("seeds", 3, "Runs of each method, with seeds 0, 1, 2, ...", lower_bound=1)
flags.DEFINE_boolean(
    "cross_validate",
    False,
    "Five runs of each method, each measured on a held-out fold, not seeds.",
)
flags.DEFINE_boolean(
    "equal_passes",
    False,
    "Give the other methods as many epochs as cost the first method's image passes, fine-tuning "
    "counted.",
)


def values() -> dict:
    """Values of the study's flags and of all that training reads, by name.

    Under "given" stand the training flags that the command line or a flagfile gave, each as the
    text that gives it again; "seeds_given" says whether --seeds is among the study's own.
    """
    training = train.values()
    given = {name: flags.FLAGS[name].serialize() for name in training if flags.FLAGS[name].present}
    own = {**values_of("flags.study"), "seeds_given": bool(flags.FLAGS["seeds"].present)}
    return {**training, **own, "given": given}
