"""An exponential moving average of weights, evaluated and exported in their place."""

from collections.abc import Callable

import keras
import tensorflow as tf


class WeightAverage(keras.layers.Layer):
    """average <- d average + (1 - d) weight after each step, d = min(decay, (1 + t) / (10 + t)).

    t is the number of steps done; the smaller d at first lets the average forget the initial
    weights. Batch statistics are averaged like weights.

    Args:
        weights: the variables to average.
        decay: in (0, 1).

    Attributes:
        averages: one variable a weight, in their order.
    """

    def __init__(self, weights: list, decay: float):
        super().__init__(name="weight_average")
        self.decay = decay
        self._source = tuple(weights)
        self.averages = [
            keras.Variable(
                # A copy: of a TensorFlow variable Keras would make another name for the same one.
                keras.ops.convert_to_numpy(weight),
                trainable=False,
                dtype=weight.dtype,
                aggregation="only_first_replica",
                name=f"average_{place}",
            )
            for place, weight in enumerate(weights)
        ]
        self.built = True

    def update(self, steps) -> None:
        """Takes the weights in, after so many training steps."""
        steps = tf.cast(steps, tf.float32)
        decay = tf.minimum(self.decay, (1.0 + steps) / (10.0 + steps))
        for average, weight in zip(self.averages, self._source, strict=True):
            value = tf.convert_to_tensor(weight)
            if value.dtype.is_floating:  # a counter among the weights is taken as it is
                value = average + (1.0 - decay) * (value - average)
            average.assign(value)

    def call(self, function: Callable, *arguments):
        """Calls a function with the averages in place of the weights, and returns its result."""
        mapping = [(w, a.value) for w, a in zip(self._source, self.averages, strict=True)]
        with keras.StatelessScope(state_mapping=mapping):
            return function(*arguments)

    def restart(self) -> None:
        """Sets the averages to the weights."""
        for average, weight in zip(self.averages, self._source, strict=True):
            average.assign(weight)

    def adopt(self) -> None:
        """Sets the weights to their averages."""
        for average, weight in zip(self.averages, self._source, strict=True):
            weight.assign(average)
