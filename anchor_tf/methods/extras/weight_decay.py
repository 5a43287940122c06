"""The L2 term of the loss, added to the gradient as the field counts it."""

import tensorflow as tf


def decayed(gradients: list[tf.Tensor], variables: list, weight: float | tf.Tensor) -> list:
    """Gradients with that of weight / 2 |w|^2 over kernels, which have more than one axis.

    Args:
        gradients: of the loss, one a variable.
        variables: the weights; biases and batch normalisation have one axis and do not decay.
        weight: of the term; this replica's share of it.
    """
    return [
        gradient + weight * variable if len(variable.shape) > 1 else gradient
        for gradient, variable in zip(gradients, variables, strict=True)
    ]
