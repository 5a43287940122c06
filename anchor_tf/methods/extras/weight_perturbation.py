"""Adversarial weight perturbation: the loss is lowered at weights that an adversary has moved.

Source: Wu, Xia and Wang 2020, "Adversarial Weight Perturbation Helps Robust Generalization": one
ascent step of length gamma |w| per kernel, along the gradient of the loss. Deviation: the step is
taken on the method's whole loss, contrastive terms included. The weights themselves never change:
they are replaced by shifted values for the length of one pass.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from anchor_tf.methods.extras import across_replicas


def adversarial_shifts(gradients: list, variables: list, gamma: float) -> list:
    """Shift of each variable: gamma |w| g / |g| for kernels, 0 for biases and normalisation.

    Args:
        gradients: of the loss, one a variable; summed over the replicas first, so that all of them
            move alike.
        variables: the weights; kernels are those with more than one axis.
        gamma: length of a shift relative to its kernel's, at least 0.
    """
    gradients = across_replicas.summed(gradients)
    return [
        _shift(tf.convert_to_tensor(variable), gradient, gamma)
        if len(variable.shape) > 1
        else tf.zeros_like(gradient)
        for gradient, variable in zip(gradients, variables, strict=True)
    ]


def shifted(model: keras.Model, variables: list, shifts: list, function: Callable, *arguments):
    """Calls a function of the model with every variable shifted; keeps the batch statistics.

    Gradients flow to the variables themselves.

    Args:
        model: whose non-trainable variables the function updates.
        variables: its trainable variables.
        shifts: one a variable.
        function: what to call.
        *arguments: what to call it with.
    """
    mapping = [(v, v.value + s) for v, s in zip(variables, shifts, strict=True)]
    scope = keras.StatelessScope(state_mapping=mapping)
    with scope:
        result = function(*arguments)
    for variable in model.non_trainable_variables:
        updated = scope.get_current_value(variable)
        if updated is not None:
            variable.assign(updated)
    return result


def _shift(weight: tf.Tensor, gradient: tf.Tensor, gamma: float) -> tf.Tensor:
    length = gamma * tf.norm(weight)
    norm = tf.norm(gradient)
    # A scaled loss may overflow; unmoved, the second pass does so too, and its step is left out.
    direction = tf.where(tf.math.is_finite(norm), gradient, 0.0)
    return tf.stop_gradient(tf.math.divide_no_nan(length, norm) * direction)
