"""model.tflite: a classifier for phones and small devices, for the interpreter of TFLite."""

import os

import keras
import tensorflow as tf

from anchor_tf.files.atomic import replacing


def write(
    model: keras.Model, path: str | os.PathLike, *, image_shape: tuple[int, int, int]
) -> None:
    """Writes a model with one signature, in float32; the file appears whole or not at all.

    serving_default: `images` float32 [B, H, W, C] in [0, 1] -> `logits` float32 [B, K],
    `probabilities` float32 [B, K], `label` int64 [B]. TFLite has no assertions: unlike the
    SavedModel it answers whatever it is given.

    Args:
        model: a Functional model images -> logits.
        path: the file.
        image_shape: height, width and channels of the model's images.
    """

    def classify(images):
        logits = tf.cast(model(images, training=False), tf.float32)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "label": tf.argmax(logits, axis=-1, output_type=tf.int64),
        }

    images = tf.TensorSpec([None, *image_shape], tf.float32, name="images")
    owner = tf.Module()
    # The converter reads the values of variables that it finds as attributes. Those of a Keras
    # model are wrapped: given the model itself, it leaves them without a value and says nothing.
    owner.variables_of_the_model = [variable.value for variable in model.variables]
    owner.classify = tf.function(classify, input_signature=[images])
    function = owner.classify.get_concrete_function()
    content = tf.lite.TFLiteConverter.from_concrete_functions([function], owner).convert()
    with replacing(path) as file:
        file.write(content)
