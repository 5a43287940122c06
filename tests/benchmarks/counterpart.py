"""A Keras classifier of ours as a PyTorch module with the same weights.

Both frameworks hold the kernels of one network in their own layout, so that attacks written for
either can be compared on the same function.
"""

import copy

import keras
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from anchor_tf.backbones.layers import ConvolutionBatchNorm


class Normalization(nn.Module):
    """(images - mean) / deviation, per channel."""

    def __init__(self, layer: keras.layers.Normalization):
        super().__init__()
        channels = (1, -1, 1, 1)
        self.register_buffer("mean", _tensor(layer.mean).reshape(channels))
        self.register_buffer("deviation", _tensor(layer.variance).sqrt().reshape(channels))

    def forward(self, images):
        return (images - self.mean) / self.deviation


class Convolution(nn.Module):
    """A convolution with TensorFlow's "same" padding, then batch normalisation in eval mode.

    TensorFlow pads only as far as the stride needs, and the odd pixel at the end: a 3x3 convolution
    of stride 2 pads an even image by 0 before and 1 after, where PyTorch's padding=1 pads both.

    Args:
        layer: ours.
        folded: whether to fold the normalisation into the convolution, as our layer does.
    """

    def __init__(self, layer: ConvolutionBatchNorm, folded: bool):
        super().__init__()
        kernel = _tensor(layer.convolution.kernel).permute(3, 2, 0, 1).contiguous()
        filters, channels, self.size, _ = kernel.shape
        self.stride = layer.strides
        # An odd kernel of stride 1 needs the same on both sides: no padding of its own.
        padding = self.size // 2 if self.stride == 1 else 0
        convolution = nn.Conv2d(
            channels, filters, self.size, self.stride, padding=padding, bias=False
        )
        normalization = nn.BatchNorm2d(filters, eps=layer.normalization.epsilon)
        state = layer.normalization
        with torch.no_grad():
            convolution.weight.copy_(kernel)
            normalization.weight.copy_(_tensor(state.gamma))
            normalization.bias.copy_(_tensor(state.beta))
            normalization.running_mean.copy_(_tensor(state.moving_mean))
            normalization.running_var.copy_(_tensor(state.moving_variance))
        self.layers = nn.Sequential(convolution, normalization)
        if folded:
            self.layers = fuse_conv_bn_eval(convolution.eval(), normalization.eval())

    def forward(self, tensor):
        if self.stride > 1:
            (top, bottom), (left, right) = (self._padding(side) for side in tensor.shape[2:])
            if top or bottom or left or right:
                tensor = functional.pad(tensor, (left, right, top, bottom))
        return self.layers(tensor)

    def _padding(self, side: int) -> tuple[int, int]:
        outputs = -(-side // self.stride)
        total = max((outputs - 1) * self.stride + self.size - side, 0)
        return total // 2, total - total // 2


class Dense(nn.Module):
    """A dense layer, with or without a ReLU."""

    def __init__(self, layer: keras.layers.Dense):
        super().__init__()
        self.linear = nn.Linear(*layer.kernel.shape)
        self.relu = keras.activations.serialize(layer.activation) == "relu"
        with torch.no_grad():
            self.linear.weight.copy_(_tensor(layer.kernel).T)
            self.linear.bias.copy_(_tensor(layer.bias))

    def forward(self, features):
        outputs = self.linear(features)
        return functional.relu(outputs) if self.relu else outputs


class Function(nn.Module):
    """A layer without weights."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *tensors):
        return self.function(*tensors)


class Counterpart(nn.Module):
    """The graph of a functional Keras model, layer by layer; images [B, C, H, W] in [0, 1].

    Args:
        model: made of the layers of our backbones, nested models included.
        folded: whether to fold batch normalisation into the convolutions.
    """

    def __init__(self, model: keras.Model, folded: bool = False):
        super().__init__()
        config = model.get_config()
        self.input = config["layers"][0]["name"]
        self.steps = [
            (layer["name"], _sources(layer["inbound_nodes"])) for layer in config["layers"][1:]
        ]
        self.output = config["output_layers"][0]
        self.layers = nn.ModuleDict(
            {name: _converted(model.get_layer(name), folded) for name, _ in self.steps}
        )
        self.eval()

    def folded(self) -> nn.Module:
        """A copy for inference, its batch normalisations folded as they stand now."""
        twin = copy.deepcopy(self).eval()
        for layer in twin.modules():
            if isinstance(layer, Convolution) and isinstance(layer.layers, nn.Sequential):
                layer.layers = fuse_conv_bn_eval(*layer.layers)
        return twin

    def forward(self, images):
        tensors = {self.input: images}
        for name, sources in self.steps:
            tensors[name] = self.layers[name](*(tensors[source] for source in sources))
        return tensors[self.output]


def as_torch(images: np.ndarray) -> torch.Tensor:
    """Images [B, H, W, C] as a contiguous tensor [B, C, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def _converted(layer: keras.Layer, folded: bool) -> nn.Module:
    match layer:
        case keras.Model():
            return Counterpart(layer, folded)
        case keras.layers.Normalization():
            return Normalization(layer)
        case ConvolutionBatchNorm():
            return Convolution(layer, folded)
        case keras.layers.Dense():
            return Dense(layer)
        case keras.layers.ReLU():
            return Function(functional.relu)
        case keras.layers.Add():
            return Function(torch.add)
        case keras.layers.GlobalAveragePooling2D():
            return Function(lambda tensor: tensor.mean(dim=(2, 3)))
        case keras.layers.Flatten():
            # Ours flattens [B, H, W, C].
            return Function(lambda tensor: tensor.permute(0, 2, 3, 1).flatten(1))
    raise TypeError(f"{layer.name}: no counterpart of {type(layer).__name__} is known")


def _sources(node) -> list[str]:
    """Names of the layers that a serialised call takes its tensors from, in order."""
    if isinstance(node, dict):
        if "keras_history" in node:
            return [node["keras_history"][0]]
        node = list(node.values())
    if isinstance(node, list | tuple):
        return [name for part in node for name in _sources(part)]
    return []


def _tensor(values) -> torch.Tensor:
    return torch.from_numpy(np.array(keras.ops.convert_to_numpy(values), dtype=np.float32))
