"""Flags of the attacks of an evaluation, and of the images that they attack."""

from absl import flags

flags.DEFINE_string(
    "attacks", "fgsm,pgd(steps=20),cw(steps=20)", "Attacks to evaluate with, separated by commas."
)
flags.DEFINE_integer(
    "examples",
    None,
    "Test images to attack, the same number of each class; all by default.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "batch_size",
    None,
    "Images a batch, over all replicas; in evaluate 128 for each by default.",
    lower_bound=1,
)
