"""The attack that watches training: PGD-10 on what would be kept, the same at every validation."""

from collections.abc import Callable

import tensorflow as tf

from anchor_tf import keyed_random
from anchor_tf.losses.classification import cross_entropy
from anchor_tf.methods.base import Method
from anchor_tf.methods.extras import training_attack

STEPS = 10


class ValidationAttack:
    """Compiled once for all callbacks that share it, and anew for another method or image size.

    It has the full epsilon of the method's threat, and its start is keyed by the example alone, so
    that the epochs are compared on the same problem.

    Args:
        seed: of the random starts.
    """

    def __init__(self, seed: int):
        self.seed = seed
        self._method = self._image_shape = self._compiled = None

    def __call__(self, method: Method, images, labels, index) -> tuple[tf.Tensor, ...]:
        """Attacks a batch.

        Args:
            method: whose averaged weights, if there are any, are attacked.
            images: float32 [B, H, W, C] in [0, 1].
            labels: int32 [B].
            index: int32 [B], the examples' indices.

        Returns:
            The logits of the images [B, K], the adversarial images [B, H, W, C], and their
            logits [B, K].
        """
        image_shape = tuple(images.shape[1:])
        if self._method is not method or self._image_shape != image_shape:
            self._method, self._image_shape = method, image_shape
            self._compiled = self._compile(method, image_shape)
        return self._compiled(images, labels, index)

    def _compile(self, method: Method, image_shape) -> Callable:
        """The attack on one method, for images of one shape."""
        signature = [
            tf.TensorSpec([None, *image_shape], tf.float32),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None], tf.int32),
        ]

        def attack(images, labels, index):
            classify = method.classify_averaged

            def objective(moved):
                return method.scaled(cross_entropy(classify(moved), labels))

            keys = keyed_random.example_keys(self.seed, 0, index)
            keys = keyed_random.fold(keyed_random.fold(keys, "ce"), 0)  # those of attacks.pgd
            adversarial = training_attack.pgd(objective, images, method.threat, keys, STEPS)
            return classify(images), adversarial, classify(adversarial)

        return tf.function(attack, input_signature=signature, autograph=False)
