"""The threat model: which perturbations an attacker may add to an image.

A threat is a ball around the image, in a norm and of a radius `epsilon`, cut by the box of valid
pixels. Attacks are written in its four operations: distance, projection, random start and steepest
step.
"""

import dataclasses

import tensorflow as tf

from anchor_tf import choices, keyed_random
from anchor_tf.errors import UserError

NORMS = ("linf", "l2")


@dataclasses.dataclass(frozen=True)
class Threat:
    """A norm ball of radius epsilon around each image, intersected with the pixel box.

    Attributes:
        norm: "linf" or "l2".
        epsilon: radius in units of the [0, 1] pixel range; a float, or a scalar tensor where it
            changes during training.
        low: smallest pixel value.
        high: largest pixel value.

    Raises:
        UserError: unknown norm, or a float epsilon outside [0, 1] (L-inf) or below 0 (L2).
    """

    norm: str
    epsilon: float | tf.Tensor
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self):
        choices.check("norm", self.norm, NORMS)
        if tf.is_tensor(self.epsilon):
            return
        largest = self.high - self.low if self.norm == "linf" else float("inf")
        if not 0.0 <= self.epsilon <= largest:
            raise UserError(
                f"epsilon {self.epsilon:g} is out of range: pixels lie in "
                f"[{self.low:g}, {self.high:g}], write 8/255 for eight grey levels"
            )

    def as_dict(self) -> dict[str, str | float]:
        """The attributes as plain data, of which `Threat(**data)` makes the same one."""
        sizes = {name: float(getattr(self, name)) for name in ("epsilon", "low", "high")}
        return {"norm": self.norm, **sizes}

    def with_epsilon(self, epsilon) -> "Threat":
        """The same threat with another radius."""
        return dataclasses.replace(self, epsilon=epsilon)

    def distance(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        """Norm of the difference of images [B, ...] per example: float32 [B]."""
        difference = _rows(first - second)
        if self.norm == "linf":
            return tf.reduce_max(tf.abs(difference), axis=1)
        return tf.norm(difference, axis=1)

    def project(self, perturbed: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """Nearest point of the ball around `images`, then of the box; shapes [B, ...]."""
        delta = perturbed - images
        if self.norm == "linf":
            delta = tf.clip_by_value(delta, -self.epsilon, self.epsilon)
        else:
            direction, length = _directions(delta)
            delta = tf.where(length > self.epsilon, self.epsilon * direction, delta)
        return tf.clip_by_value(images + delta, self.low, self.high)

    def random_start(self, images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """A uniform point of the ball around each image, projected to the box.

        Args:
            images: float32 [B, ...].
            keys: uint32 [B, 3], see `keyed_random`.
        """
        shape = images.shape[1:].as_list()
        if self.norm == "linf":
            delta = keyed_random.uniform(keys, shape, -self.epsilon, self.epsilon)
        else:
            direction = keyed_random.normal(keyed_random.fold(keys, "direction"), shape)
            fraction = keyed_random.uniform(
                keyed_random.fold(keys, "radius"), [1] * len(shape)
            ) ** (1.0 / images.shape[1:].num_elements())
            delta = self.epsilon * fraction * _directions(direction)[0]
        return self.project(images + delta, images)

    def steepest(self, gradient: tf.Tensor) -> tf.Tensor:
        """The step of unit norm along which a linear function with this gradient grows most.

        Zero where the gradient is zero; shapes [B, ...].
        """
        if self.norm == "linf":
            return tf.sign(gradient)
        return _directions(gradient)[0]


def _rows(images: tf.Tensor) -> tf.Tensor:
    return tf.reshape(images, [tf.shape(images)[0], -1])


def _directions(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Unit vectors along images [B, ...], zero where they are zero, and lengths [B, 1, ...].

    Scaled by the largest entry first: the square of a tiny gradient would underflow.
    """
    axes = list(range(1, images.shape.rank))
    largest = tf.reduce_max(tf.abs(images), axis=axes, keepdims=True)
    scaled = tf.math.divide_no_nan(images, largest)
    length = tf.sqrt(tf.reduce_sum(scaled**2, axis=axes, keepdims=True))
    return tf.math.divide_no_nan(scaled, length), largest * length
