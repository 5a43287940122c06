"""The layers that the backbones are made of."""

import keras
import tensorflow as tf
from keras import ops

MOMENTUM = 0.9  # of batch normalisation: the field's value, Keras's own .99 lags in short runs


@keras.saving.register_keras_serializable("anchor_tf")
class ConvolutionBatchNorm(keras.layers.Layer):
    """A convolution without bias followed by batch normalisation, one pass in eval mode.

    With training=False the normalisation is folded into the convolution (its kernel scaled by
    gamma / sqrt(variance + epsilon), a shift added), which spares attacks, evaluation and serving
    an elementwise pass over every activation. Momentum .9 and epsilon 1e-5 are the field's values;
    under several replicas the batch statistics are synchronised.

    Args:
        filters: output channels.
        kernel_size: side of the square kernel.
        strides: step of the convolution; padding is "same".
    """

    def __init__(self, filters: int, kernel_size: int = 3, strides: int = 1, **layer_arguments):
        super().__init__(**layer_arguments)
        self.filters, self.kernel_size, self.strides = filters, kernel_size, strides
        self.convolution = _convolution(filters, kernel_size, strides, dtype=self.dtype_policy)
        self.normalization = _normalization(dtype=self.dtype_policy)
        for part in (self.convolution, self.normalization):
            part.trainable = self.trainable

    def build(self, input_shape):
        self.convolution.build(input_shape)
        self.normalization.build(self.convolution.compute_output_shape(input_shape))
        self.built = True

    def call(self, inputs, training=False):
        if training:
            return self.normalization(self.convolution(inputs), training=True)
        norm = self.normalization
        scale = norm.gamma * ops.rsqrt(norm.moving_variance + norm.epsilon)
        shift = norm.beta - norm.moving_mean * scale
        kernel = ops.cast(self.convolution.kernel * scale, self.compute_dtype)
        outputs = ops.conv(inputs, kernel, strides=self.strides, padding="same")
        # Not `outputs + shift`: TensorFlow fuses only a BiasAdd, the sum with a shortcut and the
        # ReLU after it into one pass with the convolution.
        return tf.nn.bias_add(outputs, ops.cast(shift, self.compute_dtype))

    def compute_output_shape(self, input_shape):
        return self.convolution.compute_output_shape(input_shape)

    def get_config(self):
        sizes = {k: getattr(self, k) for k in ("filters", "kernel_size", "strides")}
        return {**super().get_config(), **sizes}


@keras.saving.register_keras_serializable("anchor_tf")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalisation of images [B, H, W, C], in training one fused operation.

    Keras's own takes the moments and normalises in separate passes over the activations, forward
    and backward. Where the statistics are synchronised the replicas meet once forward and once
    backward, for Keras's three times and twice.
    """

    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        normalize = self._with_all_replicas if self.synchronized else self._alone
        outputs, mean, variance = normalize(inputs)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return outputs

    def _alone(self, inputs):
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=ops.cast(inputs, self.compute_dtype),
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=tf.constant([], tf.float32),
            variance=tf.constant([], tf.float32),
            epsilon=self.epsilon,
        )
        # The operation corrects the variance for the sample's size, Keras's moments do not.
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
        return outputs, mean, variance * (count - 1.0) / count

    def _with_all_replicas(self, inputs):
        inputs = ops.cast(inputs, "float32")
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
        sums = [tf.reduce_sum(values, axis=[0, 1, 2]) for values in (inputs, tf.square(inputs))]
        context = tf.distribute.get_replica_context()
        total = context.all_reduce("SUM", tf.concat([*sums, [count]], axis=0))
        mean, square = tf.split(total[:-1] / total[-1], 2)
        variance = tf.maximum(square - tf.square(mean), 0.0)
        outputs = tf.nn.batch_normalization(
            inputs, mean, variance, self.beta.value, self.gamma.value, self.epsilon
        )
        return ops.cast(outputs, self.compute_dtype), mean, variance


@keras.saving.register_keras_serializable("anchor_tf")
class ChannelNormalization(keras.layers.Normalization):
    """Keras's Normalization of images with known mean and variance, on rows of pixels.

    Arithmetic that broadcasts over as few values as an image has channels is several times slower
    on a CPU than over a row, and costs as much again in the gradient.
    """

    def call(self, inputs):
        height, width, channels = inputs.shape[1:]
        mean, variance = (
            tf.tile(tf.reshape(ops.cast(values, self.compute_dtype), [channels]), [width])
            for values in (self.mean, self.variance)
        )
        deviation = tf.maximum(tf.sqrt(variance), keras.config.epsilon())
        rows = tf.reshape(ops.cast(inputs, self.compute_dtype), [-1, height, width * channels])
        return tf.reshape((rows - mean) / deviation, [-1, height, width, channels])


def image_input(image_shape: tuple[int, int, int], mean, deviation):
    """The input of a backbone and the same images normalised per channel.

    Args:
        image_shape: (height, width, channels).
        mean: channel means of the training images, in [0, 1] units.
        deviation: channel standard deviations.

    Returns:
        The Keras input, images in [0, 1], and the normalised tensor.
    """
    images = keras.Input(image_shape, name="images")
    variance = [max(float(d), 1e-3) ** 2 for d in deviation]
    normalized = ChannelNormalization(mean=[float(m) for m in mean], variance=variance)
    return images, normalized(images)


def convolution(tensor, filters: int, kernel_size: int = 3, strides: int = 1, relu: bool = True):
    """Applies a ConvolutionBatchNorm and, unless told otherwise, a ReLU."""
    tensor = ConvolutionBatchNorm(filters, kernel_size, strides)(tensor)
    return keras.layers.ReLU()(tensor) if relu else tensor


def plain_convolution(tensor, filters: int, kernel_size: int = 3, strides: int = 1):
    """Applies a convolution without bias or normalisation."""
    return _convolution(filters, kernel_size, strides)(tensor)


def activated(tensor):
    """Applies batch normalisation and a ReLU: the pre-activation, which no convolution absorbs."""
    return keras.layers.ReLU()(_normalization()(tensor))


def preactivation_block(tensor, filters: int, strides: int):
    """BN-ReLU-conv-BN-ReLU-conv, added to the input.

    Where the shape changes, the shortcut is a 1x1 convolution of the activated input. The first
    convolution feeds the second batch normalisation alone, so these two fold into one.

    Source: He et al. 2016, "Identity Mappings in Deep Residual Networks".

    Args:
        tensor: [B, H, W, C].
        filters: output channels.
        strides: of the first convolution.

    Returns:
        [B, H / strides, W / strides, filters].
    """
    active, shortcut = activated(tensor), tensor
    if strides > 1 or tensor.shape[-1] != filters:
        shortcut = plain_convolution(active, filters, kernel_size=1, strides=strides)
    residual = plain_convolution(convolution(active, filters, strides=strides), filters)
    return keras.layers.Add()([shortcut, residual])


def normalizations(network: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Every batch normalisation of a network, however deep."""
    return [
        layer
        for layer in network._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


def _convolution(filters: int, kernel_size: int, strides: int, **layer_arguments):
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out"),
        **layer_arguments,
    )


def _normalization(**layer_arguments):
    return FusedBatchNormalization(momentum=MOMENTUM, epsilon=1e-5, **layer_arguments)
