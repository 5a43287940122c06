"""A network that finds adversarial images of itself while it trains."""

from collections.abc import Callable
from typing import Literal

import keras
import tensorflow as tf

from anchor_tf.devices.precision import FLOAT16_SCALE
from anchor_tf.losses import classification
from anchor_tf.methods.extras import training_attack as attacks
from anchor_tf.methods.networks.classifier_network import ClassifierNetwork
from anchor_tf.threat import Threat


class AttackedNetwork(ClassifierNetwork):
    """A classifier, what may be done to its images, and how that is searched for in training.

    Args:
        backbone: Keras model from images [B, H, W, C] in [0, 1] to features [B, F].
        classes: number of classes K.
        threat: what the attack in training may do.
        attack_steps: steps of that attack.
        training_attack: "pgd", or "n_fgsm" for a single step (see `extras.training_attack`).
        epsilon_ramp_steps: training steps over which epsilon grows linearly to its value.
        **network_arguments: see `ClassifierNetwork`.

    Attributes:
        jit_parts: whether to compile with XLA, within a step that is not compiled whole, the parts
            in which replicas do not meet: the attack, and the networks where batch normalisation
            is per replica.
    """

    def __init__(
        self,
        backbone: keras.Model,
        classes: int,
        threat: Threat,
        *,
        attack_steps: int = 10,
        training_attack: Literal["pgd", "n_fgsm"] = "pgd",
        epsilon_ramp_steps: int = 0,
        **network_arguments,
    ):
        super().__init__(backbone, classes, **network_arguments)
        self.threat = threat
        self.attack_steps = 1 if training_attack == "n_fgsm" else attack_steps
        self.training_attack = training_attack
        self.epsilon_ramp_steps = epsilon_ramp_steps
        self.jit_parts = False

    def attack(
        self,
        objective: Callable[[tf.Tensor], tf.Tensor],
        images: tf.Tensor,
        threat: Threat,
        keys: tf.Tensor,
        start: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Raises an objective, images [B, ...] -> [B], inside the threat around the images.

        Args:
            objective: of images in inference mode.
            images: centre of the ball.
            threat: norm, radius and box.
            keys: uint32 [B, 3], of the random start.
            start: where PGD begins instead of a uniform point of the ball.
        """

        def raised(moved):
            return self.scaled(objective(moved))

        if self.training_attack == "n_fgsm":
            return self.in_parts(lambda: attacks.n_fgsm(raised, images, threat, keys))
        steps = self.attack_steps
        return self.in_parts(lambda: attacks.pgd(raised, images, threat, keys, steps, start))

    def in_parts(self, part: Callable[[], tf.Tensor]) -> tf.Tensor:
        """Calls a part of a step in which replicas do not meet, compiled where `jit_parts` is."""
        if not self.jit_parts:
            return part()
        return tf.function(part, autograph=False, jit_compile=True)()

    def scaled(self, objective: tf.Tensor) -> tf.Tensor:
        """What an attack raises, multiplied where its gradient would round to zero in 16 bits."""
        return FLOAT16_SCALE * objective if self.compute_dtype == "float16" else objective

    def attack_cross_entropy(self, images, labels, threat, keys) -> tf.Tensor:
        """`attack` on the classifier's cross-entropy."""
        return self.attack(
            lambda moved: classification.cross_entropy(self.classify(moved), labels),
            images,
            threat,
            keys,
        )

    def current_threat(self, iteration) -> Threat:
        """The threat at a training step: epsilon ramps up linearly over the first steps."""
        if not self.epsilon_ramp_steps:
            return self.threat
        share = (tf.cast(iteration, tf.float32) + 1.0) / self.epsilon_ramp_steps
        return self.threat.with_epsilon(self.threat.epsilon * tf.minimum(share, 1.0))
