"""The attack that watches training: PGD-10 on what would be kept, the same at every validation."""

from collections.abc import Callable

import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.attacks.pgd import pgd
from anchor_tf.methods.base import Method

STEPS = 10


def compiled(method: Method, seed: int) -> Callable:
    """The attack as one graph function.

    It has the full epsilon of the method's threat, and its start is keyed by the example alone, so
    that the epochs are compared on the same problem.

    Args:
        method: whose averaged weights, if there are any, are attacked.
        seed: of the random starts.

    Returns:
        A function of images float32 [B, H, W, C] in [0, 1], labels int32 [B] and the examples'
        indices int32 [B]; to the logits of the images [B, K], the adversarial images [B, H, W, C],
        and their logits [B, K].
    """
    classify = method.classify_averaged

    @tf.function(autograph=False, reduce_retracing=True)
    def attack(images, labels, index):
        keys = keyed_random.example_keys(seed, 0, index)
        adversarial = pgd(classify, images, labels, method.threat, keys, steps=STEPS)
        return classify(images), adversarial, classify(adversarial)

    return attack
