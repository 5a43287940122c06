"""A pre-activation residual block in evaluation mode, as loops in float64."""

import numpy as np

EPSILON = 1e-5


def convolution(images, kernel, strides):
    """Convolves [B, H, W, C] with [k, k, C, F]; borders are zero, the odd one below and right."""
    size, (batch, height, width, _) = kernel.shape[0], images.shape
    rows, columns = -(-height // strides), -(-width // strides)
    missing = [
        max((out - 1) * strides + size - n, 0) for out, n in ((rows, height), (columns, width))
    ]
    padding = [(n // 2, n - n // 2) for n in missing]
    padded = np.pad(images.astype(np.float64), [(0, 0), *padding, (0, 0)])
    result = np.zeros((batch, rows, columns, kernel.shape[-1]))
    for row in range(rows):
        for column in range(columns):
            top, left = row * strides, column * strides
            patch = padded[:, top : top + size, left : left + size]
            result[:, row, column] = np.einsum("bhwc,hwcf->bf", patch, kernel.astype(np.float64))
    return result


def activated(images, norm):
    """Normalises by (gamma, beta, mean, variance) and cuts below zero."""
    gamma, beta, mean, variance = (np.asarray(value, np.float64) for value in norm)
    return np.maximum(gamma * (images - mean) / np.sqrt(variance + EPSILON) + beta, 0.0)


def block(images, strides, first_norm, first_kernel, second_norm, second_kernel, shortcut_kernel):
    """BN-ReLU-conv-BN-ReLU-conv plus the shortcut, convolved from the activated input if at all."""
    active = activated(images, first_norm)
    residual = convolution(active, first_kernel, strides)
    residual = convolution(activated(residual, second_norm), second_kernel, 1)
    if shortcut_kernel is None:
        return images + residual
    return convolution(active, shortcut_kernel, strides) + residual
