"""The threat model: which perturbations an attacker may add to an image.

A threat is a ball around the image, in a norm and of a radius `epsilon`, cut by the box of valid
pixels. Attacks are written in its four operations: distance, projection, random start and steepest
step.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from anchor_tf import choices, keyed_random
from anchor_tf.errors import UserError

NORMS = ("linf", "l2")


@dataclasses.dataclass(frozen=True)
class Threat:
    """A norm ball of radius epsilon around each image, intersected with the pixel box.

    A tensor's value is checked where it is known: eagerly, or where it is a constant of the graph.
    The value of a variable, or one computed inside a graph, is not: keep it in range.

    Attributes:
        norm: "linf" or "l2".
        epsilon: radius in units of the pixels; a float, or a scalar tensor where it changes during
            training.
        low: smallest pixel value.
        high: largest pixel value.

    Raises:
        UserError: unknown norm, a box that is empty or infinite, or a radius that is no finite
            scalar, is below 0 or, in L-inf, above the width of the box.
    """

    norm: str
    epsilon: float | tf.Tensor
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self):
        choices.check("norm", self.norm, NORMS)
        low, high = _number("low", self.low), _number("high", self.high)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise UserError(
                f"the box [{low:g}, {high:g}] is empty or infinite: low < high is needed"
            )
        if tf.is_tensor(self.epsilon):
            if self.epsilon.shape.rank not in (None, 0):
                raise UserError(f"epsilon should be a scalar, not {self.epsilon.shape}")
            known = tf.get_static_value(self.epsilon)
            if known is None:
                return
            # As a float32 the width of the box may round to more than it is.
            epsilon, largest = float(known), float(np.float32(self.width))
        else:
            epsilon, largest = _number("epsilon", self.epsilon), self.width
        if not (0.0 <= epsilon < math.inf and (self.norm == "l2" or epsilon <= largest)):
            eight = "8/255" if self.width == 1.0 else f"{8 / 255 * self.width:.4g}"
            raise UserError(
                f"epsilon {epsilon:g} is out of range: pixels lie in [{low:g}, {high:g}], "
                f"write {eight} for eight grey levels"
            )

    @property
    def width(self) -> float:
        """Of the box: 1 for pixels in [0, 1]."""
        return self.high - self.low

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
        """Nearest point of the ball around `images`, then of the box; shapes [B, ...].

        The last sum is rounded: pixels may lie outside the ball by half a unit of float32's last
        place at their own magnitude.
        """
        return self._project(perturbed, images, self.epsilon)

    def _project(self, perturbed: tf.Tensor, images: tf.Tensor, radius) -> tf.Tensor:
        delta = perturbed - images
        if self.norm == "linf":
            delta = tf.clip_by_value(delta, -radius, radius)
        else:
            direction, length = _directions(delta)
            delta = tf.where(length > radius, radius * direction, delta)
        return tf.clip_by_value(images + delta, self.low, self.high)

    def random_start(self, images: tf.Tensor, keys: tf.Tensor, radius=None) -> tf.Tensor:
        """A uniform point of the ball around each image, projected to the box.

        Args:
            images: float32 [B, ...].
            keys: uint32 [B, 3], see `keyed_random`.
            radius: of the ball, epsilon by default; it may exceed the box.
        """
        radius = self.epsilon if radius is None else radius
        shape = images.shape[1:].as_list()
        if self.norm == "linf":
            delta = keyed_random.uniform(keys, shape, -radius, radius)
        else:
            direction = keyed_random.normal(keyed_random.fold(keys, "direction"), shape)
            fraction = keyed_random.uniform(
                keyed_random.fold(keys, "radius"), [1] * len(shape)
            ) ** (1.0 / images.shape[1:].num_elements())
            delta = radius * fraction * _directions(direction)[0]
        return self._project(images + delta, images, radius)

    def steepest(self, gradient: tf.Tensor) -> tf.Tensor:
        """The step of unit norm along which a linear function with this gradient grows most.

        Zero where the gradient is zero; shapes [B, ...].
        """
        if self.norm == "linf":
            return tf.sign(gradient)
        return _directions(gradient)[0]


def _number(name: str, value) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} should be a number, not {value!r}") from error


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
