"""Flags of `python -m anchor_tf.train`."""

from absl import flags

from anchor_tf.flags import (  # noqa: F401  they define flags of their own
    attacks,
    checkpoints,
    compiler,
    devices,
    tensorboard,
    threat,
    workdir,
)
from anchor_tf.flags.reading import values_of

flags.DEFINE_string("method", "anchor", "Training method, a spec such as 'anchor(beta=2)'.")
flags.DEFINE_string(
    "dataset",
    "digits",
    "Data: digits, npz(path=...), folder(path=...) or the name of a TFDS image classification set.",
)
flags.DEFINE_string("backbone", None, "Network, a spec such as 'resnet(depth=18,width=64)'.")
flags.DEFINE_integer(
    "epochs", None, "Epochs of training; 0 to fine-tune what --init_from holds.", lower_bound=0
)
flags.DEFINE_enum(
    "finetune",
    "auto",
    ["auto", "slf", "alf", "aff", "none"],
    "Training of the classifier afterwards: slf, linear on clean images; alf, linear on "
    "adversarial ones; aff, the whole network on adversarial ones; auto, as the method has it.",
)
flags.DEFINE_integer("finetune_epochs", None, "Epochs of fine-tuning.", lower_bound=1)
flags.DEFINE_float("learning_rate", None, "Peak learning rate of SGD.", lower_bound=0.0)
flags.DEFINE_float(
    "finetune_learning_rate", 0.01, "Peak learning rate of fine-tuning.", lower_bound=0.0
)
flags.DEFINE_enum(
    "finetune_optimizer", "sgd", ["sgd", "adam"], "Optimizer of fine-tuning; both with a cosine."
)
flags.DEFINE_float(
    "weight_decay", 5e-4, "L2 weight on kernels, added to the gradient.", lower_bound=0.0
)
flags.DEFINE_float("warmup_epochs", None, "Epochs of linear warm-up.", lower_bound=0.0)
flags.DEFINE_float("ramp_epochs", None, "Epochs over which epsilon grows.", lower_bound=0.0)
flags.DEFINE_string(
    "augment", None, "Augmentations, such as 'crop(padding=4),flip,cutout(size=8)', or none."
)
flags.DEFINE_integer(
    "train_examples", None, "Training images to use, the same number of each class.", lower_bound=1
)
flags.DEFINE_integer("attack_steps", 10, "Steps of the attack in training.", lower_bound=1)
flags.DEFINE_enum(
    "training_attack",
    "pgd",
    ["pgd", "n_fgsm"],
    "Attack in training: pgd with --attack_steps, or the single step n_fgsm.",
)
flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "bfloat16", "float16", "auto"],
    "What the networks compute in during training; weights, losses and evaluation stay float32. "
    "auto: bfloat16 on processors with AMX or AVX512_BF16, else float32; a run keeps what it began "
    "with.",
)
flags.DEFINE_float(
    "label_smoothing",
    0.0,
    "Share of a label that is spread over all classes.",
    lower_bound=0.0,
    upper_bound=0.99,
)
flags.DEFINE_float(
    "ema_decay",
    0.0,
    "Decay of a moving average of the weights, which is then evaluated and exported; 0 for none.",
    lower_bound=0.0,
    upper_bound=0.999999,
)
flags.DEFINE_float(
    "awp",
    0.0,
    "Size of adversarial weight perturbation, 0.005 for example; 0 for none.",
    lower_bound=0.0,
)
flags.DEFINE_float(
    "clip_norm",
    0.0,
    "Largest norm of the gradient, over all weights and replicas; 0 for no limit.",
    lower_bound=0.0,
)
flags.DEFINE_enum(
    "batch_norm",
    "synchronized",
    ["synchronized", "per_replica"],
    "Batch statistics in training: of the global batch, or of each replica's share of it, which "
    "spares the replicas an exchange in every layer.",
)
flags.DEFINE_enum(
    "on_divergence",
    "stop",
    ["stop", "skip"],
    "A loss or gradient that is not finite stops the run with status 3, or its step is skipped "
    "and counted.",
)
flags.DEFINE_enum(
    "select",
    "last",
    ["last", "best"],
    "Weights to keep: those of the last epoch, or of the best PGD accuracy on the validation "
    "split, up to 2,048 images of which are then attacked after every epoch.",
)
flags.DEFINE_string("init_from", None, "Finished run whose backbone and classifier to start from.")
flags.DEFINE_integer(
    "fold",
    None,
    "Evaluate on this fifth of the training images, left out of training, instead of the test "
    "split.",
    lower_bound=0,
    upper_bound=4,
)
flags.DEFINE_integer(
    "validate_every",
    None,
    "Epochs between attacks on the validation split; by default a tenth of them, 1 with "
    "--select=best.",
    lower_bound=1,
)


def values() -> dict:
    """Values of all flags that training reads, by name."""
    modules = (
        "workdir",
        "threat",
        "attacks",
        "devices",
        "compiler",
        "checkpoints",
        "tensorboard",
        "train",
    )
    return values_of(*(f"anchor_tf.flags.{module}" for module in modules))


def given() -> set[str]:
    """Names of the flags that the command line or a flagfile gave."""
    return {name for name in values() if flags.FLAGS[name].present}
