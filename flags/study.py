"""Flags of `python -m anchor_tf.study`, which takes those of training as well."""

from absl import flags

from anchor_tf.flags import train
from anchor_tf.flags.reading import expanded, values_of

flags.DEFINE_string(
    "methods",
    "ce,pgd_at,trades,anchor",
    "Training methods to compare, separated by commas, each with flags of its own if it needs "
    "any: 'pgd_at,pgd_at --awp=0.005'. Differences are to the first.",
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
    "Choose the other methods' epochs so that each costs as many image passes as the first one's, "
    "fine-tuning counted.",
)
flags.DEFINE_integer(
    "jobs",
    1,
    "Runs at the same time; they share out cores and GPUs evenly.",
    lower_bound=1,
)
flags.DEFINE_string(
    "out",
    None,
    "Train nothing: attack the finished runs of --workdir with --attacks and write reports and "
    "tables to this folder.",
)


def values() -> dict:
    """Values of the study's flags and of all that training reads, by name.

    Under "given" stand the training flags that the command line or a flagfile gave, each as the
    text that gives it again; under "own_given" the names of the study's own that were given.
    """
    training = train.values()
    given = {name: flags.FLAGS[name].serialize() for name in training if flags.FLAGS[name].present}
    own = values_of("anchor_tf.flags.study")
    own_given = [name for name in own if flags.FLAGS[name].present]
    return {**training, **own, "given": given, "own_given": own_given}


def parse(name: str, text: str):
    """The value of a training flag that stands beside a method in --methods.

    Raises:
        ValueError: there is no such flag, or the text is none of its values.
    """
    if name not in train.values():
        raise ValueError("training has no such flag")
    return expanded(name, flags.FLAGS[name].parser.parse(text))
