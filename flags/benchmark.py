"""Flags of `python -m anchor_tf.benchmark`."""

from absl import flags

from anchor_tf.flags import devices, threat  # noqa: F401  they define flags of their own
from anchor_tf.flags.reading import values_of

flags.DEFINE_string("methods", "pgd_at,anchor", "Methods to time; ratios are to the first case.")
flags.DEFINE_string("backbones", "resnet(depth=18,width=16)", "Networks to train.")
flags.DEFINE_list("batch_sizes", "128", "Images a global batch.")
flags.DEFINE_list("precisions", "float32", "float32, bfloat16, float16.")
flags.DEFINE_list("xla", "auto", "Whether XLA compiles: auto, on, off.")
flags.DEFINE_list("image_shape", "32,32,3", "Height, width and channels of the random images.")
flags.DEFINE_integer("classes", 10, "Number of classes.", lower_bound=2)
flags.DEFINE_integer("attack_steps", 10, "Steps of the attack in training.", lower_bound=1)
flags.DEFINE_enum("training_attack", "pgd", ["pgd", "n_fgsm"], "Attack in training.")
flags.DEFINE_integer("rounds", 5, "How often each case takes its turn.", lower_bound=1)
flags.DEFINE_integer("steps", 3, "Training steps a turn.", lower_bound=1)
flags.DEFINE_integer("train_examples", 45_000, "Images of the training to estimate.", lower_bound=1)
flags.DEFINE_integer("epochs", 200, "Epochs of the training to estimate.", lower_bound=1)
flags.DEFINE_string("json", None, "File for the figures and the machine's description.")


@flags.multi_flags_validator(["norm", "epsilon"], "--norm and --epsilon do not fit")
def _one_threat(values):
    for name in ("norm", "epsilon"):
        if len(values[name] or [None]) != 1:
            raise flags.ValidationError(f"--{name}: the benchmark takes one value")
    return True


@flags.multi_flags_validator(["methods", "backbones", "precisions", "xla"], "nothing to time")
def _something_to_time(values):
    for name, value in values.items():
        if not "".join(value).strip(" ,"):
            raise flags.ValidationError(f"--{name} is empty: name at least one")
    return True


def values() -> dict:
    """Values of all flags that the benchmark reads, by name."""
    return values_of(
        "anchor_tf.flags.threat", "anchor_tf.flags.devices", "anchor_tf.flags.benchmark"
    )
